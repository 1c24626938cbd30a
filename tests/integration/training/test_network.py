"""The network itself: what it reads after how many seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from labelmesh_training.evaluation import evaluate
from labelmesh_training.examples import Division, divide
from labelmesh_training.network import DigitNetwork, Epoch, centred
from labelmesh_training.reference import bundled_digits
from labelmesh_training.strokes import drawn_digits
from labelmesh_training.values import Pictures
from labelmesh_training.version_folder import BrokenVersion, check_answers

from tests.integration.training.drawings import prepared_drawings


@dataclass
class Learned:
    """A network as the command trains it by default."""

    network: DigitNetwork
    division: Division
    epochs: list[Epoch]
    seconds: float


@pytest.fixture(scope="module")
def learned() -> Learned:
    began = time.monotonic()
    division = divide([], list(bundled_digits()), drawn_digits(1000, np.random.default_rng(1)))
    epochs: list[Epoch] = []
    network = DigitNetwork(1)
    network.train(
        division.learned,
        division.weights,
        division.held_out_pictures,
        epochs=8,
        draws=8000,
        on_step=lambda _: None,
        on_epoch=epochs.append,
    )
    return Learned(network, division, epochs, time.monotonic() - began)


def test_held_out_digits_are_read(learned: Learned) -> None:
    held_out = learned.division.held_out_pictures
    evaluation = evaluate(learned.network.probabilities(held_out.images), held_out.labels)
    assert len(held_out) > 300
    assert evaluation.accuracy >= 0.97, evaluation
    assert min(evaluation.recall.values()) >= 0.9, evaluation
    assert [epoch.number for epoch in learned.epochs] == list(range(1, 9))
    assert learned.epochs[-1].validation_accuracy == pytest.approx(evaluation.accuracy)
    # Some 15 s alone on two cores; the bound is for when others work there too.
    assert learned.seconds < 90


def test_digits_drawn_on_a_page_are_read(learned: Learned) -> None:
    pictures = prepared_drawings(500, seed=11)
    evaluation = evaluate(learned.network.probabilities(pictures.images), pictures.labels)
    assert evaluation.accuracy >= 0.97, evaluation


def test_size_and_place_on_the_page_do_not_matter(learned: Learned) -> None:
    pictures = prepared_drawings(100, seed=12)
    small = np.zeros_like(pictures.images)
    small[:, 12:26, 2:16] = pictures.images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    assert evaluate(learned.network.probabilities(small), pictures.labels).accuracy >= 0.9


def test_an_empty_picture_gets_an_answer(learned: Learned) -> None:
    probabilities = learned.network.probabilities(np.zeros((1, 28, 28), dtype=np.float32))
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1.0)


def test_a_digit_is_cut_out_to_the_same_size_in_the_middle() -> None:
    images = np.zeros((2, 28, 28, 1), dtype=np.float32)
    images[0, 3:8, 20:23] = 1.0  # 5 high, 3 wide
    images[1, 4:24, 8:20] = 0.5  # 20 high, in the middle already
    found = centred(images).numpy()
    rows, columns = np.nonzero(found[0, :, :, 0] > 0.5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 23, 8, 19)
    np.testing.assert_allclose(found[1], images[1], atol=1e-6)


def test_the_same_seed_makes_the_same_network() -> None:
    pictures = drawn_digits(300, np.random.default_rng(3))
    weights = np.full(300, 1 / 300)

    def trained(seed: int) -> np.ndarray:
        network = DigitNetwork(seed)
        network.train(pictures, weights, pictures, epochs=1, draws=320, on_step=lambda _: None, on_epoch=lambda _: None)
        return network.probabilities(pictures.images)

    np.testing.assert_allclose(trained(5), trained(5), atol=1e-4)
    assert np.abs(trained(5) - trained(6)).max() > 0.01


def test_a_saved_model_that_answers_otherwise_or_lost_its_variables_is_noticed(learned: Learned, tmp_path: Path) -> None:
    pictures: Pictures = learned.division.held_out_pictures
    expected = learned.network.probabilities(pictures.images[:8])
    learned.network.save(tmp_path / "model")
    check_answers(tmp_path / "model", pictures.images[:8], expected)
    with pytest.raises(BrokenVersion, match="answers otherwise"):
        check_answers(tmp_path / "model", pictures.images[:8], expected[::-1])
    (tmp_path / "model" / "variables" / "variables.index").unlink()
    with pytest.raises(BrokenVersion, match="cannot be used"):
        check_answers(tmp_path / "model", pictures.images[:8], expected)
