"""`labelmesh augment`: one picture, what there is to augment with, and whether a pipeline is right."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelmesh_client.augmentations import Augmented, Picture, Recipe, Sample
from labelmesh_client.augmenting.example import EXAMPLE
from labelmesh_client.augmenting.journal import OutFolder
from labelmesh_client.augmenting.names import ending_of
from labelmesh_client.augmenting.sheet import drawn, write_sheet
from labelmesh_client.client import Client
from labelmesh_client.command import augmenting_folder, saved_pipelines
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument, not_negative, positive
from labelmesh_client.command.pipeline_arguments import add_pipeline_arguments, add_seed_argument, pipeline_of, say_findings, written
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError, NotFound, SourceError
from labelmesh_client.inputs import Url
from labelmesh_client.picturelabels import PictureLabels
from labelmesh_client.pipelines import Pipeline
from labelmesh_client.transforms import Parameter, Transform

_WIDTH = 100
_MAX_JSON_BYTES = 64 * 1024 * 1024


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    group = add_group(
        commands,
        "augment",
        "Make more pictures of pictures: turned, cut, coloured, blurred, mixed, with their labels moved along.",
        more="`labelmesh augment example > p.json` is a pipeline to begin with. API keys need the scopes augment.apply and augment.read; "
        "augment.manage to save pipelines.",
    )
    augmenting_folder.add(group)
    _add_image(group)
    _add_preview(group)
    add_command(
        group,
        "example",
        "Print a pipeline that is a good start for photographs.",
        print_example,
        examples=("labelmesh augment example > p.json",),
    )
    transforms = add_command(
        group,
        "transforms",
        "What there is to put into a pipeline, with parameters, ranges and defaults.",
        show_transforms,
        examples=("labelmesh augment transforms", "labelmesh augment transforms rotate", "labelmesh augment transforms --json"),
    )
    transforms.add_argument("name", metavar="NAME", nargs="?", help="all about this one (default: a line for each)")
    add_json_argument(transforms)
    check = add_command(
        group,
        "check",
        "Say everything that is wrong with a pipeline, at once.",
        check_pipeline,
        more="The exit code is 1 where it cannot be used; warnings alone leave it 0.",
        examples=("labelmesh augment check p.json", "labelmesh augment check p.json --json > with-defaults.json"),
    )
    check.add_argument("pipeline", metavar="FILE", help="the pipeline, JSON; - for stdin")
    check.set_defaults(saved=None)
    add_json_argument(check)
    saved_pipelines.add(group)


def _add_image(group: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        group,
        "image",
        "Augment one picture.",
        augment_image,
        more="The same picture, pipeline, seed and copy give the same result. What was drawn can be kept as a recipe, to make it again.",
        examples=(
            "labelmesh augment image fox.jpg --pipeline p.json --out fox-1.jpg --copy 1",
            "labelmesh augment image https://example.org/fox.jpg --pipeline p.json --out fox.jpg --recipe-out fox.recipe.json",
            "labelmesh augment image photos/a.jpg --recipe augmented/recipes.jsonl --of a-3.jpg --out again.jpg",
        ),
    )
    parser.add_argument("picture", metavar="FILE|URL", help="a JPEG, PNG, GIF, WebP or TIFF file, an address, or - for stdin")
    add_pipeline_arguments(parser, recipe=True)
    add_seed_argument(parser)
    parser.add_argument("--copy", metavar="N", type=not_negative, default=0, help="which of the many results with this seed (default: 0)")
    parser.add_argument("--of", metavar="NAME", help="which line of a .jsonl file of recipes: that of this result")
    parser.add_argument("--labels", metavar="FILE", type=Path, help='labels to move along, JSON: {"boxes": [{"x": ...}], ...}')
    parser.add_argument(
        "--further", metavar="FILE", action="append", default=[], help="another picture for mixup, cutmix and mosaic; repeat"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="where the result goes")
    parser.add_argument("--labels-out", metavar="FILE", type=Path, help="where its labels go, JSON")
    parser.add_argument("--recipe-out", metavar="FILE", type=Path, help="where its recipe goes, JSON")
    add_json_argument(parser)


def _add_preview(group: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        group,
        "preview",
        "Small pictures of several results, with what was drawn for each, as one page or a folder.",
        preview,
        examples=(
            "labelmesh augment preview fox.jpg --pipeline p.json --count 9 --out sheet.html",
            "labelmesh augment preview fox.jpg --pipeline p.json --out previews/",
        ),
    )
    parser.add_argument("picture", metavar="FILE|URL", help="a JPEG, PNG, GIF, WebP or TIFF file, an address, or - for stdin")
    add_pipeline_arguments(parser)
    add_seed_argument(parser)
    parser.add_argument("--count", metavar="N", type=_count, default=9, help="how many, 1 to 24 (default: 9)")
    parser.add_argument("--side", metavar="PX", type=_side, default=384, help="the longer side of each, up to 1024 (default: 384)")
    parser.add_argument("--labels", metavar="FILE", type=Path, help="labels to show, JSON")
    parser.add_argument(
        "--further", metavar="FILE", action="append", default=[], help="another picture for mixup, cutmix and mosaic; repeat"
    )
    parser.add_argument("--out", metavar="PATH", type=Path, required=True, help="a page (.html), or a folder")


def _count(text: str) -> int:
    if positive(text) > 24:
        raise ValueError(text)
    return int(text)


def _side(text: str) -> int:
    if positive(text) > 1024:
        raise ValueError(text)
    return int(text)


# --- one picture ---


def augment_image(arguments: argparse.Namespace, terminal: Terminal) -> int:
    sample = Sample(_picture(arguments.picture, terminal), _labels(arguments.labels))
    further = [_picture(name, terminal) for name in arguments.further]
    if arguments.of is not None and arguments.recipe is None:
        raise ConfigurationError("--of says which recipe of the file that --recipe names; name it too.")
    with open_client(arguments, terminal.environment) as client:
        how: Pipeline | Recipe
        how = _recipe(arguments.recipe, arguments.of) if arguments.recipe is not None else pipeline_of(client, arguments, terminal)
        result = client.augmentations.apply(sample, how, seed=arguments.seed, copy=arguments.copy, further=further)
    written(arguments.out, result.image)
    if arguments.labels_out is not None:
        written(arguments.labels_out, _pretty(result.labels.to_json()))
    if arguments.recipe_out is not None:
        written(arguments.recipe_out, _pretty(result.recipe.to_json()))
    if arguments.json:
        terminal.print_json(_as_json(result))
        return 0
    moves = f", {result.frames} frames" if result.frames > 1 else ""
    terminal.print(f"{arguments.out}: {result.media_type}, {result.width} x {result.height} pixels{moves}, {len(result.image):,} bytes")
    for step in result.recipe.steps:
        terminal.print(f"  {step.transform}  {drawn(step.parameters)}".rstrip())
    if result.dropped:
        terminal.say(f"no longer in the picture: {', '.join(one.label or one.id or 'a label' for one in result.dropped)}")
    return 0


def _as_json(result: Augmented) -> dict[str, object]:
    return {
        "media_type": result.media_type,
        "width": result.width,
        "height": result.height,
        "frames": result.frames,
        "bytes": len(result.image),
        "labels": result.labels.to_json(),
        "dropped": result.dropped,
        "recipe": result.recipe.to_json(),
        "input_sha256": result.input_sha256,
        "seed": result.seed,
        "copy": result.copy,
    }


def _picture(name: str, terminal: Terminal) -> Picture:
    if name == "-":
        content: bytes = terminal.stdin.buffer.read()
        return content
    return Url(name) if name.startswith(("http://", "https://")) else Path(name)


def _labels(path: Path | None) -> PictureLabels:
    return PictureLabels() if path is None else PictureLabels.from_json(_object(path))


def _recipe(path: Path, of: str | None) -> Recipe:
    """A recipe by itself, or that of one result in a file of lines."""
    if path.suffix != ".jsonl":
        found = _object(path)
        return Recipe.from_json(found.get("recipe", found))
    if of is None:
        raise ConfigurationError(f"{path} has many recipes; say whose with --of, e.g. --of a-3.jpg.")
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                entry = _parsed(line, f"{path}: line {number}")
                if entry.get("file") == of:
                    return Recipe.from_json(entry["recipe"])
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from None
    raise SourceError(f"{path} has no recipe of {of}.")


def _object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return _parsed(file.read(_MAX_JSON_BYTES), str(path))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None


def _parsed(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise SourceError(f"{where} is no JSON object.")
    return value


def _pretty(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


# --- several ---


def preview(arguments: argparse.Namespace, terminal: Terminal) -> int:
    sample = Sample(_picture(arguments.picture, terminal), _labels(arguments.labels))
    further = [_picture(name, terminal) for name in arguments.further]
    with open_client(arguments, terminal.environment) as client:
        pipeline = pipeline_of(client, arguments, terminal)
        shown = client.augmentations.preview(
            sample, pipeline, seed=arguments.seed, count=arguments.count, max_side=arguments.side, further=further
        )
    say_findings(shown.warnings, terminal)
    if arguments.out.suffix.lower() in (".html", ".htm"):
        written(arguments.out, write_sheet(arguments.picture, arguments.seed, pipeline, shown))
        terminal.print(f"{arguments.out}: {len(shown.previews)} previews with seed {arguments.seed}")
        return 0
    out = OutFolder(arguments.out)
    out.write(f"original{ending_of('', shown.original.media_type)}", shown.original.image)
    for one in shown.previews:
        out.write(f"{one.copy}{ending_of('', one.media_type)}", one.image)
        out.write(f"{one.copy}.recipe.json", _pretty(one.recipe.to_json()))
    terminal.print(f"{arguments.out}: {len(shown.previews)} previews with seed {arguments.seed}, and their recipes")
    return 0


# --- what there is ---


def print_example(arguments: argparse.Namespace, terminal: Terminal) -> int:
    # One step a line, so that it is easy to change.
    lines = [json.dumps(step, ensure_ascii=False) for step in EXAMPLE["steps"]]
    rest = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in EXAMPLE.items() if key != "steps"]
    steps = ",\n  ".join(lines)
    terminal.print("{\n" + ",\n".join([f' "steps": [\n  {steps}\n ]', *rest]) + "\n}")
    return 0


def show_transforms(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        transforms = client.pipelines.transforms()
    if arguments.name is not None:
        transforms = [_named(transforms, arguments.name)]
    if arguments.json:
        for one in transforms:
            terminal.print_json(one)
    elif arguments.name is not None:
        _show(terminal, transforms[0])
    else:
        family = ""
        width = max((len(one.name) for one in transforms), default=0)
        for one in transforms:
            if one.family != family:
                terminal.print(f"{'' if not family else chr(10)}{one.family}")
                family = one.family
            terminal.print(f"  {one.name:<{width}}  {_first_sentence(one.summary)}")
    return 0


def _named(transforms: Iterable[Transform], name: str) -> Transform:
    found = next((one for one in transforms if one.name == name.lower().replace("-", "_")), None)
    if found is None:
        raise NotFound(f"There is no transform “{name}”; `labelmesh augment transforms` lists them.")
    return found


def _show(terminal: Terminal, one: Transform) -> None:
    terminal.print(f"{one.title} ({one.name}, {one.family})\n")
    for text in (one.summary, f"Labels: {one.labels_summary}" if one.labels_summary else "", f"Source: {one.source}" if one.source else ""):
        if text:
            terminal.print(textwrap.fill(text, _WIDTH))
    if one.holds_steps:
        terminal.print("It holds steps of its own under “steps”.")
    if one.further_pictures:
        terminal.print(f"It takes {one.further_pictures} further {'picture' if one.further_pictures == 1 else 'pictures'}.")
    for parameter in one.parameters:
        terminal.print(f"\n  {parameter.name}: {_form(parameter)}")
        terminal.print(textwrap.fill(parameter.summary, _WIDTH, initial_indent="    ", subsequent_indent="    "))
    settings = {parameter.name: parameter.default for parameter in one.parameters[:3]}
    example: dict[str, Any] = {"transform": one.name, "probability": 0.5}
    example |= {"parameters": settings} if settings else {}
    terminal.print(f"\n{json.dumps(example, ensure_ascii=False)}")


def _form(parameter: Parameter) -> str:
    """`number or [low, high] in °, -180 to 180; default [-15, 15]`."""
    if parameter.choices:
        form = f"one of {', '.join(parameter.choices)}"
    elif parameter.kind == "boolean":
        form = "true or false"
    elif parameter.kind == "colour":
        form = "[red, green, blue], each 0 to 255"
    else:
        form = f"{parameter.kind}{' or [low, high]' if parameter.ranged else ''}{_unit(parameter.unit)}"
        form += f", {parameter.minimum:g} to {parameter.maximum:g}"
    return f"{form}; default {json.dumps(parameter.default, ensure_ascii=False)}"


def _unit(unit: str) -> str:
    """` in °`, ` in px`; `, share of the width`."""
    if not unit:
        return ""
    return f" in {unit}" if " " not in unit and len(unit) <= 3 else f", {'share ' if unit.startswith('of ') else ''}{unit}"


def _first_sentence(text: str) -> str:
    return f"{text.partition('. ')[0].partition(': ')[0].rstrip('.')}."


def check_pipeline(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        return _check(client, arguments, terminal)


def _check(client: Client, arguments: argparse.Namespace, terminal: Terminal) -> int:
    checked = client.pipelines.validate(pipeline_of(client, arguments, terminal))
    say_findings(checked.findings, terminal)
    if not checked.valid:
        count = sum(not finding.warning for finding in checked.findings)
        terminal.say(f"{count} {'thing is' if count == 1 else 'things are'} wrong with it")
        return 1
    if arguments.json and checked.pipeline is not None:
        terminal.print_json(checked.pipeline.to_json())
    elif not checked.findings:
        terminal.print("It is right.")
    else:
        terminal.print("It can be used.")
    return 0
