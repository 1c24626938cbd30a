"""A step of a pipeline as tests have it: settings filled in, drawn, and made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines import values
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Effect, Warp
from labelmesh_augment.transforms.transform import Scene, Values, draw_each
from numpy.typing import NDArray


def drawn(name: str, scene: Scene, number: int = 0, **given: Any) -> Values:
    """What this step draws; each number draws something else."""
    transform = CATALOGUE[name]
    settings = {parameter.name: values.setting(parameter, given.get(parameter.name)) for parameter in transform.parameters}
    assert not transform.check(settings)
    return (transform.draw or draw_each(transform.parameters))(settings, Origin(number, "ab" * 32).draws([0]), scene)


def scene(width: int, height: int, *boxes: Sequence[float], further: tuple[Size, ...] = ()) -> Scene:
    return Scene(Size(width, height), np.array(boxes, dtype=np.float64).reshape(-1, 4), further)


def effects(name: str, found: Scene, number: int = 0, **given: Any) -> Sequence[Effect]:
    return CATALOGUE[name].act(drawn(name, found, number, **given), found.size, found.further)


def warp(name: str, found: Scene, number: int = 0, **given: Any) -> Warp:
    """Of a step that is one movement."""
    (effect,) = effects(name, found, number, **given)
    assert isinstance(effect, Warp)
    return effect


def moved(effect: Warp, *points: tuple[float, float]) -> NDArray[np.float64]:
    """Where points go."""
    ends = np.column_stack((np.array(points, dtype=np.float64), np.ones(len(points)))) @ effect.matrix.T
    places: NDArray[np.float64] = ends[:, :2] / ends[:, 2:]
    return places
