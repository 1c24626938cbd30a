"""A recipe as work: neighbours put together, so that pixels are moved once and looked up once, whatever number of steps asked for it.

Consecutive movements become one; so do consecutive linear changes of colour, and what remains of tone curves becomes one table. A picture
that loses its colours right after a movement loses them before it: linear interpolation does not mind, and there is a third to move.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labelmesh_chassis.errors import FailedPrecondition

from labelmesh_augment.geometry.following import Track
from labelmesh_augment.geometry.labels import Labels
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.colouring import Change, added, simplified
from labelmesh_augment.pipelines.pipeline import DrawnStep
from labelmesh_augment.pipelines.toning import WITHOUT_COLOURS
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import ColourMatrix, Cover, Displace, Effect, Mix, PixelStep, Tones, Warp

# Of all frames of a result together, also between steps.
RESULT_PIXELS = 100_000_000
RESULT_SIDE = 30_000
# Whatever a movement cuts away need not lose its colours first.
_MUCH_LARGER = 4


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Movements that are done at once."""

    motion: Motion


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """Changes of single values that are done at once, in this order."""

    changes: tuple[Tones, ...]


Stage = Move | Tone | ColourMatrix | PixelStep | Cover | Mix


class Staging:
    """Takes the effects of one step after the other, and puts them together.

    Raises FailedPrecondition (RESULT_TOO_LARGE) where a step would make too large a picture: before any work is done.
    """

    def __init__(self, size: Size, frames: int = 1, further: Sequence[Size] = ()) -> None:
        self.size = size
        self._frames = frames
        self._further = tuple(further)
        self._done: list[Stage] = []
        self._motion: Motion | None = None
        self._colours: list[Change] = []

    def add(self, step: DrawnStep) -> None:
        """A step of a recipe that was drawn here or checked."""
        for effect in CATALOGUE[step.transform].act(step.parameters, self.size, self._further):
            self._add(effect)

    def add_all(self, steps: Iterable[DrawnStep]) -> Staging:
        for step in steps:
            self.add(step)
        return self

    def stages(self) -> tuple[Stage, ...]:
        """All there is to do so far, in order."""
        stages = list(self._done)
        if self._motion is not None and not self._motion.is_identity:
            stages.append(Move(self._motion))
        for change in simplified(self._colours):
            _colour(stages, change)
        return tuple(stages)

    def _add(self, effect: Effect) -> None:
        if isinstance(effect, Warp | Displace):
            self._move(effect)
        elif isinstance(effect, Tones | ColourMatrix):
            if not self._colours:
                self._flush()
            self._colours = added(self._colours, effect)
        else:
            self._flush()
            if isinstance(effect, Mix):
                self._resize(effect.size)
            self._done.append(effect)

    def _move(self, effect: Warp | Displace) -> None:
        if self._motion is None or self._motion.shows_beyond_cut(effect):
            self._flush()
            self._motion = Motion.start(self.size)
        self._motion = self._motion.then(effect)
        if isinstance(effect, Warp):
            self._resize(effect.size)

    def _flush(self) -> None:
        self._done = list(self.stages())
        self._motion, self._colours = None, []

    def _resize(self, size: Size) -> None:
        check_size(size, self._frames)
        self.size = size


def _colour(stages: list[Stage], change: Change) -> None:
    """Adds a change of colour where it costs least."""
    last = stages[-1] if stages else None
    if isinstance(change, Tones):
        if isinstance(last, Tone):
            stages[-1] = Tone((*last.changes, change))
        else:
            stages.append(Tone((change,)))
    elif change is WITHOUT_COLOURS and isinstance(last, Move) and last.motion.source_size.pixels <= _MUCH_LARGER * last.motion.size.pixels:
        stages.insert(-1, change)
    else:
        stages.append(change)


def check_size(size: Size, frames: int) -> None:
    """Raises FailedPrecondition (RESULT_TOO_LARGE) for frames that are not made."""
    if size.width > RESULT_SIDE or size.height > RESULT_SIDE or size.pixels * frames > RESULT_PIXELS:
        told = f"{size.width:,} x {size.height:,} pixels" + (f" in {frames} frames" if frames > 1 else "")
        limit = f"{RESULT_PIXELS // 1_000_000} megapixels, all frames together, and {RESULT_SIDE:,} pixels a side"
        raise FailedPrecondition("RESULT_TOO_LARGE", f"A step would make this picture {told}; the limit is {limit}. Make it smaller first.")


def track(stages: Iterable[Stage], size: Size, labels: Labels, further: Sequence[tuple[Size, Labels]] = ()) -> Track:
    """What becomes of labels."""
    followed = Track.start(labels, size)
    for stage in stages:
        if isinstance(stage, Move):
            followed = followed.moved(stage.motion)
        elif isinstance(stage, Cover):
            followed = followed.covered(stage.outlines)
        elif isinstance(stage, Mix):
            others = [Track.start(its_labels, its_size) for its_size, its_labels in further]
            followed = followed.mixed(stage.layers, others, stage.size)
    return followed
