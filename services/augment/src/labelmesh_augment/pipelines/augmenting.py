"""Augmenting as a library: a file and its labels in, another file with its labels out, and the recipe by which it can be made again.

loaded = load(Sample(content, labels))
result = augment(loaded, normalised(pipeline), seed=7)
same = repeat(loaded, result.recipe)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from labelmesh_augment.geometry.labels import Dropped, Labels
from labelmesh_augment.pictures import previews
from labelmesh_augment.pictures.picture import Picture, Size
from labelmesh_augment.pictures.writing import Encoded, write
from labelmesh_augment.pipelines.drawing import draw
from labelmesh_augment.pipelines.executing import execute, in_colour
from labelmesh_augment.pipelines.pipeline import Pipeline, Recipe
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.pipelines.samples import Loaded, Sample, check_labels, load
from labelmesh_augment.pipelines.stages import Staging
from labelmesh_augment.pipelines.toning import WITHOUT_COLOURS
from labelmesh_augment.pipelines.validation import check_recipe

__all__ = [
    "Augmented",
    "Loaded",
    "Outcome",
    "Preview",
    "Sample",
    "augment",
    "augment_pixels",
    "check_labels",
    "load",
    "original_preview",
    "preview",
    "repeat",
]


@dataclass(frozen=True, slots=True)
class Augmented:
    """A result: a file, and its labels in pixels of it."""

    content: bytes = field(repr=False)
    media_type: str
    size: Size
    frames: int
    labels: Labels
    dropped: tuple[Dropped, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Preview:
    """A result as a small picture. Its labels are in pixels of the result itself, which has `full_size`."""

    content: bytes = field(repr=False)
    media_type: str
    size: Size
    full_size: Size
    labels: Labels
    dropped: tuple[Dropped, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A result before it is written. Where a picture lost its colours its frames may have a single channel."""

    picture: Picture
    labels: Labels
    dropped: tuple[Dropped, ...]
    recipe: Recipe


def augment(loaded: Loaded, pipeline: Pipeline, *, seed: int, copy: int = 0, further: Sequence[Loaded] = ()) -> Augmented:
    """One result of a pipeline that is `normalised`: always the same for the same file, labels, pipeline, seed, copy and further pictures.

    Raises FailedPrecondition (RESULT_TOO_LARGE) before anything is done.
    """
    return _written(loaded, augment_pixels(loaded, pipeline, seed=seed, copy=copy, further=further))


def augment_pixels(loaded: Loaded, pipeline: Pipeline, *, seed: int, copy: int = 0, further: Sequence[Loaded] = ()) -> Outcome:
    """What `augment` makes, as pixels, for who goes on with them."""
    staging = _staging(loaded, further)
    others = [(other.size, other.labels) for other in further]
    recipe = draw(pipeline, Origin(seed, loaded.content_sha256, copy), staging, loaded.labels, others)
    return _executed(loaded, recipe, staging, further)


def repeat(loaded: Loaded, recipe: Recipe, *, further: Sequence[Loaded] = ()) -> Augmented:
    """What was made before, from what was drawn then. Raises InvalidArgument (PIPELINE_INVALID) for a recipe with a value out of bounds."""
    checked = check_recipe(recipe)
    staging = _staging(loaded, further).add_all(checked.steps)
    return _written(loaded, _executed(loaded, checked, staging, further))


def preview(
    loaded: Loaded, pipeline: Pipeline, *, seed: int, copy: int = 0, max_side: int = 384, further: Sequence[Loaded] = ()
) -> Preview:
    """What `augment` makes, as a small picture for a screen, whose longer side has at most `max_side` pixels."""
    return _small(augment_pixels(loaded, pipeline, seed=seed, copy=copy, further=further), max_side)


def original_preview(loaded: Loaded, max_side: int = 384) -> Preview:
    """The picture itself as a small one, upright, with its labels as they came."""
    return _small(Outcome(loaded.picture, loaded.labels, (), Recipe()), max_side)


def _staging(loaded: Loaded, further: Sequence[Loaded]) -> Staging:
    return Staging(loaded.size, loaded.frames, [other.size for other in further])


def _executed(loaded: Loaded, recipe: Recipe, staging: Staging, further: Sequence[Loaded]) -> Outcome:
    others = [(other.picture, other.labels) for other in further]
    stages = staging.stages()
    luma = loaded.luma if stages and stages[0] is WITHOUT_COLOURS else None
    picture, stages = (luma, stages[1:]) if luma is not None else (loaded.picture, stages)
    picture, labels, dropped = execute(picture, loaded.labels, stages, recipe.fill, recipe.labels, others, colourful=loaded.colourful)
    return Outcome(picture, labels, dropped, recipe)


def _written(loaded: Loaded, result: Outcome) -> Augmented:
    encoded: Encoded = write(in_colour(result.picture) if loaded.colourful else result.picture, result.recipe.output)
    return Augmented(encoded.content, encoded.media_type, encoded.size, encoded.frames, result.labels, result.dropped, result.recipe)


def _small(result: Outcome, max_side: int) -> Preview:
    encoded = previews.preview(result.picture, max_side)
    return Preview(encoded.content, encoded.media_type, encoded.size, result.picture.size, result.labels, result.dropped, result.recipe)
