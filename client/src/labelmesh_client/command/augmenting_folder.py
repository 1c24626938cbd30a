"""`labelmesh augment folder`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelmesh_client.augmenting.coco import Coco, count_labels, find_candidates, read_coco
from labelmesh_client.augmenting.folder import FolderRun, Refused, Settings, further_pictures, with_mirror_pairs
from labelmesh_client.augmenting.names import DEFAULT_PATTERN, NamePattern
from labelmesh_client.augmenting.opening import OpenedFolder
from labelmesh_client.augmenting.results import ANNOTATIONS
from labelmesh_client.augmenting.sources import KINDS, Problem, SourceFolder, scan, shown
from labelmesh_client.client import Client
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_json_argument, not_negative
from labelmesh_client.command.pipeline_arguments import add_pipeline_arguments, add_seed_argument, pipeline_of, say_findings
from labelmesh_client.command.progress import Progress, duration
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError, InvalidArgument
from labelmesh_client.pipelines import Format, Pipeline

#: A long run survives a server that restarts.
_PATIENCE_S = 120.0
_MOST_COPIES = 10_000
_SHOWN_NAMES = 3


def add(group: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        group,
        "folder",
        "Augment every picture of a folder, with its labels, into another folder.",
        augment_folder,
        more="Folders inside are kept. COCO labels beside the pictures are found, moved along, and written as one COCO file. The same "
        "command goes on after an interruption, and does nothing when all is done. Files that are no good are named with the reason, "
        "and the rest is done.",
        examples=(
            "labelmesh augment folder photos --pipeline p.json --copies 5 --out augmented",
            "labelmesh augment folder photos --pipeline p.json --copies 5 --out augmented      (goes on)",
            'labelmesh augment folder photos --saved "Camera traps/night@2" --copies 3 --out augmented --annotations labels.json',
        ),
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help=f"the folder: its {KINDS} files, by content; hidden ones are passed over")
    add_pipeline_arguments(parser)
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="where the results go: an empty folder, or that of an earlier run"
    )
    parser.add_argument("--copies", metavar="N", type=_copies, default=1, help="how many results of each picture (default: 1)")
    add_seed_argument(parser)
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--annotations", metavar="FILE", type=Path, help="the COCO file (default: the one that is there, by its name)")
    labels.add_argument("--no-annotations", action="store_true", help="the pictures alone, whatever lies beside them")
    parser.add_argument("--originals", action="store_true", help="put the pictures themselves beside their copies, byte for byte")
    parser.add_argument("--format", choices=[one.value for one in Format], help="the format of the results (default: as the pipeline says)")
    parser.add_argument(
        "--keep-metadata", action="store_true", help="keep EXIF and XMP, with places and cameras (default: as the pipeline says)"
    )
    parser.add_argument(
        "--name-pattern",
        metavar="TEXT",
        default=DEFAULT_PATTERN,
        help=f"what results are called, of {{stem}}, {{copy}}, {{copy:03}} and {{seed}} (default: {DEFAULT_PATTERN})",
    )
    parser.add_argument(
        "--no-mirror-pairs",
        dest="mirror_pairs",
        action="store_false",
        help="leave names of keypoints such as left_eye and right_eye as they are in mirrored pictures",
    )
    parser.add_argument(
        "--in-flight", metavar="N", type=_in_flight, default=32, help="pictures under way at once, 1 to 1,000 (default: 32)"
    )
    parser.add_argument("--overwrite", action="store_true", help="remove what an earlier run put into the folder, and make everything anew")
    parser.add_argument(
        "--allow-bad", metavar="N", type=not_negative, default=0, help="exit with 0 although up to N files failed (default: 0)"
    )
    add_json_argument(parser)


def _copies(text: str) -> int:
    if not 1 <= int(text) <= _MOST_COPIES:
        raise ValueError(text)
    return int(text)


def _in_flight(text: str) -> int:
    if not 1 <= int(text) <= 1000:
        raise ValueError(text)
    return int(text)


@dataclass
class Summary:
    """What a run did: results that it made, that were there, and the files without one, by name, reason and stable reason.

    `left_out` are files that are no pictures, by ending.
    """

    out: str
    pictures: int = 0
    made: int = 0
    present: int = 0
    failed: int = 0
    seconds: float = 0.0
    changed: bool = False
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def augment_folder(arguments: argparse.Namespace, terminal: Terminal) -> int:
    _check_places(arguments.folder, arguments.out)
    chosen = _annotations(arguments)
    sources = scan(arguments.folder, without=[arguments.out, *([chosen] if chosen else [])])
    _say_left_out(sources, terminal)
    if not sources.files and not sources.problems:
        terminal.say(f"labelmesh: {arguments.folder} has no {KINDS} files.")
        return 1
    labels = read_coco(chosen, sources.root, (file.name for file in sources.files)) if chosen else None
    if labels is not None:
        _say_labels(labels, sources, terminal)
    with open_client(arguments, terminal.environment) as client:
        client.services.connection.patience_s = _PATIENCE_S
        settings = _settings(client, arguments, terminal, labels, sources)
        with OpenedFolder(arguments.out, settings, overwrite=arguments.overwrite) as opened:
            run = FolderRun(settings, sources, labels, opened.out, opened.journal_path)
            with run.journal:
                summary = _run(run, client, arguments, terminal)
    return _conclude(summary, arguments, terminal)


def _check_places(folder: Path, out: Path) -> None:
    source, target = folder.resolve(), out.resolve()
    if target == source or source.is_relative_to(target):
        raise ConfigurationError(f"--out {out} is the folder of the pictures, or has it in it; name another one.")


def _annotations(arguments: argparse.Namespace) -> Path | None:
    """The COCO file: the one that is named, or the only one that is there. Raises ConfigurationError where it is one of several."""
    if arguments.annotations is not None or arguments.no_annotations:
        given: Path | None = arguments.annotations
        return given
    found = find_candidates(arguments.folder)
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        raise ConfigurationError(f"There are several files of labels: {names}. Say which with --annotations, or --no-annotations for none.")
    return found[0] if found else None


def _say_left_out(sources: SourceFolder, terminal: Terminal) -> None:
    if count := sources.other_files.total():
        endings = ", ".join(f"{number:,} {ending}" for ending, number in sources.other_files.most_common(5))
        terminal.say(f"left out {count:,} {'file that is' if count == 1 else 'files that are'} no {KINDS} ({endings})")
    for name in sources.linked_folders:
        terminal.say(f"left out the folder {name}, which is a link")


def _say_labels(labels: Coco, sources: SourceFolder, terminal: Terminal) -> None:
    counts = ", ".join(f"{number:,} {kind}" for kind, number in sorted(count_labels(labels).items())) or "none"
    terminal.say(f"labels of {labels.path}: {counts}, for {len(labels.images):,} of {len(sources.files):,} pictures")
    if labels.missing:
        terminal.say(f"{_count(labels.missing, 'image')} of the labels {_is(labels.missing)} not in the folder: {_names(labels.missing)}")
    if labels.ambiguous:
        terminal.say(
            f"{_count(labels.ambiguous, 'image')} of the labels may be several pictures of the folder, and {_is(labels.ambiguous)} left "
            f"out: {_names(labels.ambiguous)}"
        )
    if labels.unusable:
        terminal.say(f"left out {labels.unusable:,} annotations that have neither box, outline, mask nor keypoints")


def _settings(client: Client, arguments: argparse.Namespace, terminal: Terminal, labels: Coco | None, sources: SourceFolder) -> Settings:
    pipeline = _with_output(pipeline_of(client, arguments, terminal), arguments)
    if labels is not None and arguments.mirror_pairs and not pipeline.labels.mirror_pairs and (pairs := labels.mirror_pairs()):
        pipeline = with_mirror_pairs(pipeline, pairs)
        terminal.say(
            f"in mirrored pictures {_names([f'{left} and {right}' for left, right in pairs])} change places, as their names say; "
            "--no-mirror-pairs leaves them"
        )
    checked = client.pipelines.validate(pipeline)
    if not checked.valid:
        say_findings((finding for finding in checked.findings if not finding.warning), terminal)
        raise InvalidArgument("The pipeline cannot be used.", reason="PIPELINE_INVALID")
    needed = {one.name: one.further_pictures for one in client.pipelines.transforms()}
    further = further_pictures(pipeline, needed)
    mixing = [name for name, count in needed.items() if count]
    say_findings((one for one in checked.findings if not (further and one.description.startswith(tuple(mixing)))), terminal)
    if further and len(sources.files) < 2:
        terminal.say("warning: there is no other picture to mix in")
    pattern = NamePattern(arguments.name_pattern, copies=arguments.copies, seed=arguments.seed)
    return Settings(pipeline, arguments.seed, arguments.copies, pattern, arguments.originals, further)


def _with_output(pipeline: Pipeline, arguments: argparse.Namespace) -> Pipeline:
    output = pipeline.output
    if arguments.format is not None:
        output = replace(output, format=Format(arguments.format))
    if arguments.keep_metadata:
        output = replace(output, keep_metadata=True)
    return replace(pipeline, output=output)


def _run(run: FolderRun, client: Client, arguments: argparse.Namespace, terminal: Terminal) -> Summary:
    todo = run.begin()
    summary = Summary(str(arguments.out), pictures=len(run.sources.files), present=run.present)
    summary.left_out = dict(sorted(run.sources.other_files.items()))
    run.refused[:0] = run.sources.problems
    total_bytes = todo and sum(file.size for file in run.sources.files) * todo // max(1, len(run.sources.files) * run.settings.copies)
    progress = Progress(terminal.stderr, total=todo, total_bytes=total_bytes, unit="results")
    told: set[tuple[str, str]] = set()

    def tell(problem: Problem) -> None:
        if (problem.name, problem.problem) not in told:
            told.add((problem.name, problem.problem))
            summary.problems.append(problem)
            progress.note(f"failed {shown(problem.name)}: {problem.problem}")

    for problem in run.refused:
        tell(problem)
    try:
        for event in run.events(client.augmentations, in_flight=arguments.in_flight, patience_s=_PATIENCE_S):
            if isinstance(event, Refused):
                tell(event.problem)
            else:
                summary.made += 1
            progress.advance(event.size)
    except BaseException:
        run.journal.settle()
        progress.note(
            f"{summary.made + summary.present:,} of {summary.present + todo:,} results are there; the same command goes on from there"
        )
        raise
    summary.changed = run.finish() or summary.made > 0
    summary.seconds = progress.seconds
    summary.failed = len({problem.name for problem in summary.problems})
    progress.finish()
    if run.stale:
        terminal.say(f"removed or replaced {len(run.stale):,} results of pictures or labels that are gone or have changed")
    return summary


def _conclude(summary: Summary, arguments: argparse.Namespace, terminal: Terminal) -> int:
    if arguments.json:
        terminal.print_json(summary)
    elif not summary.changed:
        terminal.print(f"nothing to do: {summary.present:,} results are in {arguments.out}{_failed(summary)}")
    else:
        pace = f", {summary.made / summary.seconds:,.0f}/s" if summary.seconds >= 1 else ""
        terminal.print(
            f"{summary.pictures:,} pictures: {summary.made:,} results made, {summary.present:,} there already{_failed(summary)} "
            f"({duration(summary.seconds)}{pace}); labels in {arguments.out / ANNOTATIONS}"
        )
    return 1 if summary.failed > arguments.allow_bad else 0


def _failed(summary: Summary) -> str:
    return f", {summary.failed:,} {'file' if summary.failed == 1 else 'files'} failed" if summary.failed else ""


def _count(things: list[str], what: str) -> str:
    return f"{len(things):,} {what}{'' if len(things) == 1 else 's'}"


def _is(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"


def _names(names: Iterable[str]) -> str:
    given = list(names)
    more = len(given) - _SHOWN_NAMES
    return ", ".join(map(shown, given[:_SHOWN_NAMES])) + (f" and {more:,} more" if more > 0 else "")
