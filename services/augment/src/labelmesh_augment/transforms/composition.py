"""Steps that hold other steps. Which of those are done is drawn by `pipelines.drawing`; they have no effect of their own."""

from __future__ import annotations

from collections.abc import Sequence

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Effect
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Transform, Values

ONE_OF = "one_of"
SOME_OF = "some_of"
SEQUENCE = "sequence"


def _no_effect(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    raise ValueError("A step that holds others has no effect of its own, and does not stand in a recipe.")


_LABELS = "Whatever the steps that are done make of them."

TRANSFORMS: tuple[Transform, ...] = (
    Transform(
        name=ONE_OF,
        title="One of",
        family=Family.COMPOSITION,
        summary="Does one of its steps, each as often as its weight (its probability) says among the others.",
        labels_summary=_LABELS,
        act=_no_effect,
    ),
    Transform(
        name=SOME_OF,
        title="Some of",
        family=Family.COMPOSITION,
        summary="Does some of its steps, none of them twice; those with more weight (probability) are chosen more often.",
        labels_summary=_LABELS,
        act=_no_effect,
        parameters=(
            Parameter(
                "count",
                "How many",
                "How many of its steps are done, at most all of them.",
                Kind.INTEGER,
                default=(1, 2),
                minimum=0,
                maximum=100,
                step=1,
                unit="steps",
                ranged=True,
            ),
            Parameter(
                "any_order",
                "In any order",
                "Whether those chosen are done in an order that is drawn, too; otherwise in the order in which they stand.",
                Kind.BOOLEAN,
                default=False,
            ),
        ),
    ),
    Transform(
        name=SEQUENCE,
        title="Sequence",
        family=Family.COMPOSITION,
        summary="Does its steps one after another: several steps that are chosen, or left out, together.",
        labels_summary=_LABELS,
        act=_no_effect,
    ),
)
