"""Numbers that say how good a version is, and what follows from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from labelmesh_client import FailedPrecondition
from labelmesh_training.comparison import Comparison, Promote, is_promoted, labels_of
from labelmesh_training.evaluation import MAX_CONFUSIONS, evaluate


def sure(answers: list[int], certainty: float = 0.91) -> np.ndarray:
    rest = (1 - certainty) / 9
    return np.array([[certainty if place == answer else rest for place in range(10)] for answer in answers], dtype=np.float32)


def test_accuracy_loss_recall_and_confusions_are_those_of_the_answers() -> None:
    evaluation = evaluate(sure([4, 9, 9, 7]), np.array([4, 4, 9, 7]))
    assert evaluation.accuracy == 0.75
    assert evaluation.recall == {4: 0.5, 7: 1.0, 9: 1.0}
    assert evaluation.confusions == {(4, 9): 1}
    assert evaluation.loss == pytest.approx(-(3 * math.log(0.91) + math.log(0.01)) / 4, rel=1e-4)
    metrics = evaluation.metrics()
    assert metrics["confusion_4_as_9"] == 1 and metrics["recall_4"] == 0.5 and metrics["held_out_images"] == 4


def test_metrics_stay_finite_and_few_however_wrong_the_answers_are() -> None:
    shown = np.array([shown for shown in range(10) for _ in range(10)])
    answers = [taken for _ in range(10) for taken in range(10)]
    metrics = evaluate(sure(answers, 1.0), shown).metrics()
    assert all(math.isfinite(value) for value in metrics.values())
    assert sum(name.startswith("confusion_") for name in metrics) == MAX_CONFUSIONS
    # Room for those of the data: a version has a hundred at most.
    assert len(metrics) <= 85


def test_nothing_to_measure_with_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        evaluate(sure([]).reshape(0, 10), np.array([], dtype=np.int64))


def test_a_version_is_promoted_when_it_is_at_least_as_good() -> None:
    stable = Comparison(3, 0.97, 0)
    assert [is_promoted(Promote.AUTO, accuracy, stable, has_stable=True) for accuracy in (0.96, 0.97, 0.98)] == [False, True, True]
    assert is_promoted(Promote.ALWAYS, 0.1, stable, has_stable=True)
    assert not is_promoted(Promote.NEVER, 1.0, stable, has_stable=True)


def test_a_version_is_promoted_when_there_is_no_stable_one_but_not_when_it_could_not_be_asked() -> None:
    assert is_promoted(Promote.AUTO, 0.5, None, has_stable=False)
    assert not is_promoted(Promote.AUTO, 1.0, None, has_stable=True)


def test_an_input_that_failed_has_no_label() -> None:
    assert list(labels_of([FailedPrecondition("no", reason="MANIFEST_MISMATCH")])) == [None]
