"""`labelmesh import folder`, `labelmesh import mnist` and `labelmesh demo digits`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labelmesh_client.annotation import AuthorKind, MachineLabel
from labelmesh_client.client import Client
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument, not_negative, positive, workers
from labelmesh_client.command.progress import Progress, duration
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError, NotFound, PermissionDenied
from labelmesh_client.importing import ImageFile, Outcome
from labelmesh_client.projects import LabelClass, Project, classes_from_names
from labelmesh_client.sources.digits import COUNT, digits
from labelmesh_client.sources.folder import ENDINGS, scan_folder
from labelmesh_client.sources.mnist import Split, download, read_split

DIGITS_PROJECT = "Handwritten digits"
#: Whose suggestions its annotators may be shown.
DIGITS_MODEL = "digits"
MNIST_PROJECT = "MNIST handwritten digits"
MNIST_MODEL = "mnist-labels"
MNIST_MODEL_VERSION = "1"
#: An import goes on after the server was away for this long.
_PATIENCE_S = 120.0
_TEN_DIGITS = tuple(LabelClass(str(digit), str(digit), str(digit)) for digit in range(10))


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    imports = add_group(commands, "import", "Bring images into a project.")
    _add_folder(imports)
    _add_mnist(imports)
    demo = add_group(commands, "demo", "Bring in data to try things with.")
    parser = add_command(
        demo,
        "digits",
        f"Import the {COUNT:,} real handwritten digits that ship with scikit-learn.",
        import_digits,
        more="Makes the project with the classes 0 to 9 and the same keys where it is missing. Doing it again adds nothing.",
        examples=("labelmesh demo digits",),
    )
    parser.add_argument("--project", metavar="NAME", default=DIGITS_PROJECT, help=f"the project (default: {DIGITS_PROJECT})")
    _add_import_arguments(parser)


def _add_folder(imports: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        imports,
        "folder",
        "Import the JPEG and PNG files of a folder.",
        import_folder,
        more="What the project has already, by content, is not sent again: the same command goes on after an interruption. "
        "Files that are no good are named with the reason, and the rest goes in.",
        examples=(
            'labelmesh import folder pictures --project "Camera traps" --classes "fox,red deer,badger,nothing"',
            'labelmesh import folder pictures --project "Camera traps"      (goes on, or adds what is new)',
        ),
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help=f"the folder ({', '.join(sorted(ENDINGS))}; hidden files are passed over)")
    parser.add_argument("--project", metavar="NAME", help="the project, by name or id (default: the folder's name)")
    parser.add_argument("--classes", metavar="A,B,C", help="make the project with these classes if it is missing")
    parser.add_argument("--no-recursive", dest="recursive", action="store_false", help="leave out folders inside the folder")
    _add_import_arguments(parser)


def _add_mnist(imports: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        imports,
        "mnist",
        "Import MNIST, or another data set in its four IDX files, plain or .gz.",
        import_mnist,
        examples=("labelmesh import mnist data/mnist --download", "labelmesh import mnist data/mnist --split test --limit 500"),
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the files are, e.g. train-images-idx3-ubyte.gz")
    parser.add_argument("--project", metavar="NAME", default=MNIST_PROJECT, help=f"the project (default: {MNIST_PROJECT})")
    parser.add_argument("--split", choices=("train", "test", "all"), default="train", help="which part (default: train)")
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N images of each part")
    parser.add_argument("--download", action="store_true", help="fetch the files that are missing in DIR and check them")
    parser.add_argument(
        "--labels",
        choices=("none", "as-machine"),
        default="none",
        help=f"as-machine: put the known labels beside the images as those of the model “{MNIST_MODEL}” (default: none)",
    )
    _add_import_arguments(parser)


def _add_import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", metavar="N", type=workers, default=4, help="send this many batches at once, 1 to 64 (default: 4)")
    parser.add_argument(
        "--allow-bad", metavar="N", type=not_negative, default=0, help="exit with 0 although up to N files were refused (default: 0)"
    )
    add_json_argument(parser)


@dataclass
class Summary:
    """What an import did: counts, and the files that were refused by name, reason and stable reason."""

    project: str
    project_id: str
    added: int = 0
    present: int = 0
    refused: int = 0
    seconds: float = 0.0
    problems: list[dict[str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.added + self.present + self.refused


def import_digits(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        files = [digit.as_file() for digit in digits()]
        project = _project(client, terminal, arguments.project, _TEN_DIGITS, "The 1,797 digits of scikit-learn (UCI optical digits).")
        _suggest(terminal, project, DIGITS_MODEL)
        summary, _ = _import(terminal, client, project, files, len(files), sum(file.size for file in files), (), arguments.workers)
        return _conclude(terminal, summary, arguments)


def _suggest(terminal: Terminal, project: Project, model: str) -> None:
    """Names the model whose suggestions the project shows, where it names none."""
    if project.facts.suggestion_model:
        return
    try:
        project.set_suggestion_model(model)
    except PermissionDenied:
        terminal.say(f"the project will not show the suggestions of the model “{model}”: only managers and their keys may say so")


def import_folder(arguments: argparse.Namespace, terminal: Terminal) -> int:
    classes = _classes(arguments.classes) if arguments.classes else None
    scan = scan_folder(arguments.folder, recursive=arguments.recursive)
    if scan.other_endings:
        endings = ", ".join(f"{count:,} {ending}" for ending, count in scan.other_endings.most_common(5))
        count = scan.other_endings.total()
        terminal.say(f"left out {count:,} {'file that is' if count == 1 else 'files that are'} neither JPEG nor PNG by name ({endings})")
    for name in scan.linked_folders:
        terminal.say(f"left out the folder {name}, which is a link")
    if not scan.files and not scan.unusable:
        terminal.say(f"labelmesh: {arguments.folder} has no JPEG or PNG files.")
        return 1
    with open_client(arguments, terminal.environment) as client:
        name = arguments.project or arguments.folder.resolve().name
        project = _project(client, terminal, name, classes, f"Images of the folder {arguments.folder.resolve().name}.")
        summary, _ = _import(terminal, client, project, scan.files, len(scan.files), scan.total_bytes, scan.unusable, arguments.workers)
        return _conclude(terminal, summary, arguments)


def import_mnist(arguments: argparse.Namespace, terminal: Terminal) -> int:
    names = ["train", "test"] if arguments.split == "all" else [arguments.split]
    if arguments.download:
        download(arguments.folder, names, say=terminal.say)
    with_labels = arguments.labels == "as-machine"
    splits = [read_split(arguments.folder, name, with_labels=with_labels) for name in names]
    top = max([9, *(max(split.labels, default=0) for split in splits)])
    classes = _TEN_DIGITS if top == 9 else tuple(LabelClass(str(label), str(label)) for label in range(top + 1))
    counts = [split.images.count if arguments.limit is None else min(arguments.limit, split.images.count) for split in splits]
    sizes = [next(iter(split.files(1))).size for split in splits]
    with open_client(arguments, terminal.environment) as client:
        project = _project(client, terminal, arguments.project, classes, "MNIST: handwritten digits, 28 x 28 pixels.")
        files = (file for split in splits for file in split.files(arguments.limit))
        total_bytes = sum(count * size for count, size in zip(counts, sizes, strict=True))
        summary, image_ids = _import(terminal, client, project, files, sum(counts), total_bytes, (), arguments.workers)
        if with_labels:
            _put_known_labels(terminal, project, splits, image_ids)
        return _conclude(terminal, summary, arguments)


def _put_known_labels(terminal: Terminal, project: Project, splits: Iterable[Split], image_ids: dict[str, str]) -> None:
    """Once for each image: those that have one of this model already are passed over."""
    done = {one.image_id for one in project.annotations(author_kind=AuthorKind.MACHINE) if one.model == MNIST_MODEL}
    labels: list[MachineLabel] = []
    for split in splits:
        for index, label in enumerate(split.labels):
            image_id = image_ids.get(split.file_name(index))
            if image_id and image_id not in done:
                done.add(image_id)
                labels.append(MachineLabel(image_id, str(label), 1.0))
    count = project.put_machine_labels(labels, model=MNIST_MODEL, model_version=MNIST_MODEL_VERSION)
    terminal.say(f"{count:,} known labels put beside the images as those of the model “{MNIST_MODEL}”")


def _classes(text: str) -> tuple[LabelClass, ...]:
    try:
        return classes_from_names(text.split(","))
    except ValueError as error:
        raise ConfigurationError(f"--classes {text!r}: {error}.") from None


def _project(client: Client, terminal: Terminal, name: str, classes: Sequence[LabelClass] | None, description: str) -> Project:
    found = client.find_project(name)
    if found is not None:
        return found
    if classes is None:
        return _by_id(client, name)
    project = client.create_project(name, classes, description=description)
    terminal.say(f"made the project “{name}” with the classes {', '.join(one.display_name for one in classes)}")
    return project


def _by_id(client: Client, name: str) -> Project:
    try:
        return client.project(name)
    except NotFound:
        raise ConfigurationError(
            f"There is no project “{name}” yet. Say which classes it has to make it: --classes fox,deer,nothing"
        ) from None


def _import(
    terminal: Terminal,
    client: Client,
    project: Project,
    files: Iterable[ImageFile],
    total: int,
    total_bytes: int,
    unusable: Sequence[tuple[str, str]],
    workers: int,
) -> tuple[Summary, dict[str, str]]:
    """Sends files, showing how far it is and what was refused. Returns what it did, and the image ids by name."""
    client.services.connection.patience_s = _PATIENCE_S
    summary = Summary(project.display_name, project.id)
    progress = Progress(terminal.stderr, total=total, total_bytes=total_bytes)
    image_ids: dict[str, str] = {}

    def refuse(name: str, problem: str, reason: str) -> None:
        summary.refused += 1
        summary.problems.append({"name": name, "problem": problem, "reason": reason})
        progress.note(f"refused {name}: {problem}")

    for name, problem in unusable:
        refuse(name, problem, "UNREADABLE")
    try:
        for one in project.import_images(files, workers=workers):
            if one.outcome is Outcome.REFUSED:
                refuse(one.name, one.problem, one.problem_reason)
            else:
                summary.added += one.outcome is Outcome.ADDED
                summary.present += one.outcome is Outcome.PRESENT
                image_ids[one.name] = one.image_id
            progress.advance(one.size)
    except BaseException:
        progress.note(f"at least {summary.added + summary.present:,} of {total:,} images are in; the same command goes on from there")
        raise
    summary.seconds = progress.seconds
    progress.finish()
    return summary, image_ids


def _conclude(terminal: Terminal, summary: Summary, arguments: argparse.Namespace) -> int:
    if arguments.json:
        terminal.print_json(summary)
    else:
        pace = f", {summary.total / summary.seconds:,.0f}/s" if summary.seconds >= 1 else ""
        terminal.print(
            f"{summary.total:,} images: {summary.added:,} added, {summary.present:,} there already, {summary.refused:,} refused "
            f"({duration(summary.seconds)}{pace})"
        )
    return 1 if summary.refused > arguments.allow_bad else 0
