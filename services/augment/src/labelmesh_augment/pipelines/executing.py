"""Doing what a recipe says to pixels and labels: frame by frame, so that no more than one frame between two steps is in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Dropped, LabelRules, Labels
from labelmesh_augment.geometry.warping import warp
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pipelines import toning
from labelmesh_augment.pipelines.mixing import mix
from labelmesh_augment.pipelines.pipeline import Fill
from labelmesh_augment.pipelines.stages import Move, Stage, Tone, track
from labelmesh_augment.transforms.effects import ColourMatrix, Cover, Mix, PixelStep, Tones

# What a stage does to a frame, and whether the frame is of a picture that has colours.
FrameChange = Callable[[Frame, int], Frame]


def execute(
    picture: Picture,
    labels: Labels,
    stages: Sequence[Stage],
    fill: Fill,
    rules: LabelRules,
    further: Sequence[tuple[Picture, Labels]] = (),
    *,
    colourful: bool,
) -> tuple[Picture, Labels, tuple[Dropped, ...]]:
    """The picture and its labels after all stages.

    `colourful`: whether it is one with colours, also where it comes without them because the stages need none. Its frames may come back
    grey, where it lost them all.
    """
    moved, dropped = follow(labels, picture.size, stages, rules, [(other.size, its_labels) for other, its_labels in further])
    if not stages:
        return picture, moved, dropped
    others = [other for other, _ in further]
    changes = [_change(stage, fill, others, picture.frames[0].white, colourful) for stage in stages]
    return Picture(tuple(_through(frame, index, changes) for index, frame in enumerate(picture.frames)), picture.nature), moved, dropped


def in_colour(picture: Picture) -> Picture:
    """The picture with three channels: what lost its colours is still a picture in colour for who reads its file."""
    if not picture.frames[0].gray:
        return picture
    return Picture(tuple(_coloured(frame) for frame in picture.frames), picture.nature)


def follow(
    labels: Labels, size: Size, stages: Sequence[Stage], rules: LabelRules, further: Sequence[tuple[Size, Labels]] = ()
) -> tuple[Labels, tuple[Dropped, ...]]:
    """What becomes of the labels, without pixels."""
    return track(stages, size, labels, further).finish(rules)


def _through(frame: Frame, index: int, changes: Sequence[FrameChange]) -> Frame:
    for change in changes:
        frame = change(frame, index)
    return frame


def _change(stage: Stage, fill: Fill, further: Sequence[Picture], white: int, colourful: bool) -> FrameChange:
    match stage:
        case Move(motion):
            return lambda frame, index: warp(frame, motion, fill)
        case Tone(changes):
            return _Toning(changes, white, colourful)
        case ColourMatrix():
            return _Mixing(stage, white, colourful)
        case PixelStep(change, keeps_gray):
            return lambda frame, index: _recoloured(frame, change, colourful and not keeps_gray)
        case Cover(_, paint):
            return lambda frame, index: _recoloured(frame, paint, colourful)
        case Mix():
            return lambda frame, index: mix(frame, [_moment(other, index) for other in further], stage, fill, colourful=colourful)
    raise AssertionError(stage)


class _Toning:
    """Looks values up in a table, which is made when the first frame shows what it is for."""

    def __init__(self, changes: Sequence[Tones], white: int, colourful: bool) -> None:
        self._table = toning.table(changes, white, gray=not colourful)

    def __call__(self, frame: Frame, index: int) -> Frame:
        return frame.with_pixels(toning.look_up(frame.colour, self._table), frame.alpha)


class _Mixing:
    """A colour matrix; on a grey frame it is a matter of single values."""

    def __init__(self, matrix: ColourMatrix, white: int, colourful: bool) -> None:
        self._matrix = matrix
        self._white = white
        self._colourful = colourful

    def __call__(self, frame: Frame, index: int) -> Frame:
        if not frame.gray:
            return frame.with_pixels(toning.mix_channels(frame.colour, self._matrix.matrix), frame.alpha)
        curves = toning.gray_curves(self._matrix)
        if not self._colourful:
            curves = toning.by_luma(curves)
        table = toning.table((curves,), self._white, gray=not self._colourful)
        return frame.with_pixels(toning.look_up(frame.colour, table), frame.alpha)


def _recoloured(frame: Frame, change: Callable[[NDArray[Any]], NDArray[Any]], needs_colour: bool) -> Frame:
    seen = _coloured(frame) if needs_colour else frame
    return seen.with_pixels(change(seen.colour), seen.alpha)


def _coloured(frame: Frame) -> Frame:
    return frame.with_pixels(cv2.cvtColor(frame.colour, cv2.COLOR_GRAY2BGR), frame.alpha) if frame.gray else frame


def _moment(picture: Picture, index: int) -> Frame:
    """The frame that shows beside this one of the first picture; a further one that moves starts over at its end."""
    return picture.frames[index % len(picture.frames)]
