"""Which picture shows where, and how much of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.random import Origin
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Layer, Mix
from labelmesh_augment.transforms.mixing import fitted, symmetric_beta
from numpy.typing import NDArray

from tests.unit.augment.transforms.steps import drawn, effects, scene

THREE = (Size(50, 40), Size(10, 200), Size(1, 1))
# Of shares that are drawn.
COUNT = 4000


def mixed(name: str, number: int = 0, further: tuple[Size, ...] = THREE, **given: object) -> Mix:
    (effect,) = effects(name, scene(100, 60, further=further), number, **given)
    assert isinstance(effect, Mix)
    return effect


def ends(layer: Layer, source: Size) -> NDArray[np.float64]:
    """Where the corners of a source come to."""
    places: NDArray[np.float64] = (layer.matrix @ np.array([[0, 0, 1], [source.width, source.height, 1]]).T)[:2].T
    return places


def shares_of(alpha: float) -> NDArray[np.float64]:
    draws = Origin(3, "ab" * 32).draws([0])
    return np.sort([symmetric_beta(alpha, draws) for _ in range(COUNT)])


@pytest.mark.parametrize(
    ("alpha", "below"),
    [
        (0.5, lambda share: np.arcsin(np.sqrt(share)) * 2 / np.pi),
        (1.0, lambda share: share),
        (2.0, lambda share: 3 * share**2 - 2 * share**3),
    ],
    ids=["arcsine", "even", "parabola"],
)
def test_shares_are_drawn_from_the_beta_distribution(alpha: float, below: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
    # Kolmogorov and Smirnov: chance lets the greatest distance be larger than this once in a hundred times.
    assert np.abs(below(shares_of(alpha)) - (np.arange(COUNT) + 0.5) / COUNT).max() < 1.63 / np.sqrt(COUNT)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 5, 64])
def test_shares_spread_as_far_as_the_beta_distribution(alpha: float) -> None:
    shares = shares_of(alpha)
    assert shares[0] >= 0 and shares[-1] <= 1
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mosaic"])
def test_without_further_pictures_nothing_is_done(name: str) -> None:
    for number in range(5):
        assert not effects(name, scene(100, 60), number)


@pytest.mark.parametrize("source", [Size(50, 40), Size(10, 200), Size(1, 1), Size(30_000, 1)])
def test_what_covers_a_region_leaves_none_of_it_free(source: Size) -> None:
    matrix, region = fitted(source, (10, 20, 70, 50), "cover")
    start, end = ends(Layer(0, matrix, region), source)
    assert region == (10, 20, 70, 50)
    assert (start <= np.array([10, 20]) + 1e-6).all() and (end >= np.array([70, 50]) - 1e-6).all()
    # Its shape stays, and it touches two sides.
    assert matrix[0, 0] == matrix[1, 1]
    assert np.isclose(end - start, [60, 30]).any()


@pytest.mark.parametrize("source", [Size(50, 40), Size(10, 200), Size(1, 1), Size(30_000, 1)])
def test_what_is_contained_in_a_region_is_all_there(source: Size) -> None:
    matrix, region = fitted(source, (10, 20, 70, 50), "contain")
    assert 10 <= region[0] < region[2] <= 70 and 20 <= region[1] < region[3] <= 50
    assert ends(Layer(0, matrix, region), source) == pytest.approx(np.array([region[:2], region[2:]]))


def test_mixup_blends_a_further_picture_over_the_whole_frame() -> None:
    own, other = mixed("mixup").layers
    assert (own.source, own.weight, own.region) == (0, 1.0, (0, 0, 100, 60))
    assert other.source in (1, 2, 3) and 0 < other.weight < 1 and other.region == (0, 0, 100, 60)


def test_every_further_picture_is_taken_sometimes() -> None:
    assert {mixed("mixup", number).layers[1].source for number in range(40)} == {1, 2, 3}


def test_cutmix_takes_as_much_as_was_drawn() -> None:
    shares = []
    for number in range(300):
        values = drawn("cutmix", scene(1000, 600, further=THREE), number, alpha=64)
        assert values["x"] + values["width"] <= 1000 and values["y"] + values["height"] <= 600
        if values["x"] > 0 and values["x"] + values["width"] < 1000 and values["y"] > 0 and values["y"] + values["height"] < 600:
            shares.append(values["width"] * values["height"] / 600_000)
    # Half, where the border cuts nothing off.
    assert len(shares) > 10 and min(shares) > 0.35 and max(shares) < 0.65


def test_the_rectangle_of_cutmix_shows_what_is_there_in_the_other_picture() -> None:
    whole = mixed("mixup", 3, THREE[:1]).layers[1]
    part = mixed("cutmix", 3, THREE[:1]).layers[1]
    assert part.weight == 1.0
    assert part.matrix.tolist() == whole.matrix.tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_mosaic_has_the_picture_and_as_many_others_as_there_are(count: int) -> None:
    further = tuple(Size(40 + index, 30) for index in range(count))
    for number in range(20):
        layers = mixed("mosaic", number, further).layers
        sources = [layer.source for layer in layers]
        assert 0 in sources and len(set(sources)) == min(count, 3) + 1


def test_the_cells_of_a_mosaic_fill_the_frame_without_overlapping() -> None:
    for number in range(20):
        effect = mixed("mosaic", number, centre_x=[0.1, 0.9], centre_y=[0.1, 0.9], width=77, height=91)
        covered = np.zeros((91, 77), dtype=int)
        for layer in effect.layers:
            x0, y0, x1, y1 = layer.region
            covered[y0:y1, x0:x1] += 1
        assert effect.size == Size(77, 91)
        assert (covered == 1).all()


def test_pictures_that_do_not_fill_their_cells_lie_at_the_point_where_the_cells_meet() -> None:
    effect = mixed("mosaic", 3, THREE, centre_x=0.5, centre_y=0.5, fit="contain", width=80, height=60)
    top_left, top_right, bottom_left, bottom_right = (layer.region for layer in effect.layers)
    assert top_left[2:] == (40, 30)
    assert (top_right[0], top_right[3]) == (40, 30)
    assert (bottom_left[2], bottom_left[1]) == (40, 30)
    assert bottom_right[:2] == (40, 30)


def test_a_recipe_drawn_with_more_pictures_takes_those_there_are() -> None:
    values = {"centre_x": 0.5, "centre_y": 0.5, "order": (0, 8, 5, 3), "fit": "cover", "width": 0, "height": 0}
    (effect,) = CATALOGUE["mosaic"].act(values, Size(10, 10), THREE[:1])
    assert isinstance(effect, Mix)
    assert [layer.source for layer in effect.layers] == [0, 0, 1, 1]


def test_a_mosaic_of_other_than_four_cells_is_no_recipe() -> None:
    assert CATALOGUE["mosaic"].check_drawn({"order": (0, 1)})
    assert not CATALOGUE["mosaic"].check_drawn({"order": (0, 1, 1, 0)})
