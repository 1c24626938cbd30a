"""The page of the guide about transforms, written out of the catalogue.

python -m labelmesh_augment.transforms.document docs/guide/transforms.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Transform, Value

_FAMILIES = {
    Family.GEOMETRY: (
        "Movements",
        "Where things are. Consecutive ones become one movement: pixels are moved once, and labels follow exactly.",
    ),
    Family.SIZE: ("Crops and sizes", "How much of the picture there is, and how large it comes out."),
    Family.DISTORTION: ("Bends", "Straight lines become curves. They too are put together with the movements around them."),
    Family.COLOUR: ("Colours", "Nothing moves; consecutive changes of single values are looked up in one table."),
    Family.QUALITY: ("Blur, noise and compression", "What lenses, sensors and files do to a picture."),
    Family.ERASING: ("Erasing", "Parts of the picture are taken away, so that a model learns not to rely on one of them alone."),
    Family.WEATHER: ("Weather", "Shadows, fog and rain as outdoor cameras see them."),
    Family.MIXING: ("Mixing", "Several pictures become one. They need further pictures beside the first; without any they do nothing."),
    Family.COMPOSITION: ("Steps that hold steps", "Which of several things is done."),
}

_INTRODUCTION = """\
# Transforms

<!-- Written by `python -m labelmesh_augment.transforms.document docs/guide/transforms.md`; change the catalogue, not this page. -->

A pipeline is a list of steps. A step names a transform; what it leaves out has its default, and a step of a name alone does something
useful and mild:

```json
{"steps": [
  {"transform": "horizontal_flip", "probability": 0.5},
  {"transform": "rotate", "parameters": {"angle": [-20, 20]}},
  {"transform": "one_of", "steps": [{"transform": "gaussian_blur"}, {"transform": "gaussian_noise", "probability": 0.5}]}
]}
```

- **Ranges.** Where the table says *range*, `[low, high]` lets each picture draw its own value, and one value stands for itself. Values are
  drawn evenly; those marked *by factors* so that half as much comes as often as twice as much.
- **Probability** says how often a step is done. Inside `one_of` and `some_of` it is the step's weight among the others.
- **Seed.** The same picture, pipeline, seed and copy give the same result. Every answer has the recipe, which says what was drawn for each
  step. Given back, it makes the same picture again.
- **Sizes.** No step makes a result of more than 30,000 pixels a side or 100 megapixels, all frames together. It is refused
  (`RESULT_TOO_LARGE`) before any work is done.
- **Labels.** Boxes and polygons of which too little is left are dropped by the pipeline's label rules. Keypoints are never dropped: those
  that are out of sight are marked as outside, those under something as hidden.

![Every transform, done to one photograph; the box and the point follow](../images/transforms.jpg)

Photographs: danielbuechele (pagoda) and vultilion (dahlia), [CC BY 2.0](https://creativecommons.org/licenses/by/2.0/), changed as the
names say.
"""


def page() -> str:
    """All of the guide, Markdown."""
    parts = [_INTRODUCTION]
    for family, (title, summary) in _FAMILIES.items():
        transforms = [transform for transform in CATALOGUE.values() if transform.family is family]
        parts.append(f"\n## {title}\n\n{summary}\n")
        parts += (_section(transform) for transform in transforms)
    return "".join(parts)


def _section(transform: Transform) -> str:
    return "".join(f"{line}\n" for line in _lines(transform))


def _lines(transform: Transform) -> Iterator[str]:
    yield f"\n### {transform.title} (`{transform.name}`)\n"
    yield transform.summary
    yield f"\n*Labels:* {transform.labels_summary}"
    if transform.source:
        yield f"\n*Source:* {transform.source}."
    if transform.parameters:
        yield "\n| parameter | what it is | default | allowed |"
        yield "| --- | --- | --- | --- |"
        yield from (_row(parameter) for parameter in transform.parameters)
    if transform.drawn:
        yield f"\n*In a recipe:* {', '.join(f'`{parameter.name}`' for parameter in transform.drawn)}."


def _row(parameter: Parameter) -> str:
    title, summary = parameter.title, parameter.summary.replace("|", "\\|")
    return f"| `{parameter.name}` | **{title}.** {summary} | `{_json(parameter.default)}` | {_allowed(parameter)} |"


def _allowed(parameter: Parameter) -> str:
    match parameter.kind:
        case Kind.BOOLEAN:
            return "`true`, `false`"
        case Kind.CHOICE:
            return ", ".join(f"`{_json(choice)}`" for choice in parameter.choices)
        case Kind.COLOUR:
            return "`[red, green, blue]`, 0 to 255 each"
        case _:
            notes = [f"{parameter.minimum:g} to {parameter.maximum:g}" + (f" {parameter.unit}" if parameter.unit else "")]
            if parameter.kind is Kind.INTEGER:
                notes.append("whole numbers")
            if parameter.ranged:
                notes.append("range, by factors" if parameter.logarithmic else "range")
            return "; ".join(notes)


def _json(value: Value) -> str:
    return json.dumps(value)


def main(arguments: list[str]) -> int:
    """Writes the page, to standard output where no file is named."""
    if len(arguments) > 1:
        print("Name the file to write, or none to see the page.", file=sys.stderr)
        return 2
    if arguments:
        Path(arguments[0]).write_text(page())
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
