"""Drawing what is left open in a pipeline: labels and size are followed without a pixel, so that a step knows what it will find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import version

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Labels
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.pipeline import DrawnStep, Pipeline, Recipe, Step
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.pipelines.stages import Staging, track
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.composition import ONE_OF, SEQUENCE
from labelmesh_augment.transforms.transform import Family, Scene, draw_each

_NO_BOXES = np.zeros((0, 4))
# A step that holds steps, or that may be left out, draws apart from what its own parameters draw.
_WHETHER, _WHAT = 0, 1


@cache
def versions() -> dict[str, str]:
    """Of what makes results what they are to the byte."""
    return {
        "labelmesh-augment": version("labelmesh-augment"),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
    }


def draw(pipeline: Pipeline, origin: Origin, staging: Staging, labels: Labels, further: Sequence[tuple[Size, Labels]] = ()) -> Recipe:
    """What is done to one copy of one picture, and, in `staging`, the work that it makes.

    The pipeline is normalised (see `validation`), the staging fresh, of the picture's size. Nothing else than the arguments counts.
    """
    start = staging.size
    sizes = tuple(size for size, _ in further)
    # Where boxes are depends on nothing else, and the rest may be a hundred times as much.
    first = Labels(boxes=labels.boxes)

    def boxes() -> NDArray[np.float64]:
        if not labels.boxes and not any(its_labels.boxes for _, its_labels in further):
            return _NO_BOXES
        others = [(size, Labels(boxes=its_labels.boxes)) for size, its_labels in further]
        bounds: NDArray[np.float64] = track(staging.stages(), start, first, others).bounds()
        return bounds

    steps: list[DrawnStep] = []
    for step, path in _chosen(pipeline.steps, (), origin):
        transform = CATALOGUE[step.transform]
        draws = origin.draws((*path, _WHAT))
        scene = _Scene(staging.size, boxes, sizes)
        values = (transform.draw or draw_each(transform.parameters))(step.parameters, draws, scene)
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        drawn = DrawnStep(step.transform, told, path)
        staging.add(drawn)
        steps.append(drawn)
    return Recipe(tuple(steps), pipeline.fill, pipeline.labels, pipeline.output, versions())


def _chosen(steps: Sequence[Step], above: tuple[int, ...], origin: Origin) -> Iterator[tuple[Step, tuple[int, ...]]]:
    """Those of these steps that are done, with what they hold, in order."""
    for index, step in enumerate(steps):
        path = (*above, index)
        if step.probability >= 1 or origin.draws((*path, _WHETHER)).chance(step.probability):
            yield from _done(step, path, origin)


def _done(step: Step, path: tuple[int, ...], origin: Origin) -> Iterator[tuple[Step, tuple[int, ...]]]:
    if CATALOGUE[step.transform].family is not Family.COMPOSITION:
        yield step, path
    elif step.transform == SEQUENCE:
        yield from _chosen(step.steps, path, origin)
    else:
        for index in _picked(step, path, origin):
            yield from _done(step.steps[index], (*path, index), origin)


def _picked(step: Step, path: tuple[int, ...], origin: Origin) -> list[int]:
    """Places of the steps that a one_of or some_of does, in the order in which it does them."""
    draws = origin.draws((*path, _WHAT))
    weights = [held.probability for held in step.steps]
    if step.transform == ONE_OF:
        return [draws.pick(weights)]
    low, high = step.parameters["count"]
    picked: list[int] = []
    for _ in range(draws.integer(low, high)):
        if not any(weights):
            break
        picked.append(draws.pick(weights))
        weights[picked[-1]] = 0
    return picked if step.parameters["any_order"] else sorted(picked)


class _Scene(Scene):
    """What a step finds; labels are followed only for one that asks where boxes are."""

    __slots__ = ("_ask",)
    _ask: Callable[[], NDArray[np.float64]]

    def __init__(self, size: Size, ask: Callable[[], NDArray[np.float64]], further: tuple[Size, ...]) -> None:
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "further", further)
        object.__setattr__(self, "_ask", ask)

    @property
    def boxes(self) -> NDArray[np.float64]:
        return self._ask()
