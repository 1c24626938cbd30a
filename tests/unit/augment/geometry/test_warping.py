"""Pixels go where the motion says, without loss where there need not be any."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.warping import warp, warp_mask
from labelmesh_augment.pictures.picture import Frame, Size
from labelmesh_augment.pipelines.pipeline import Fill, FillKind
from labelmesh_augment.transforms.effects import Displace, Warp
from numpy.typing import NDArray

from tests.unit.augment.geometry.marks import around, crop, flip, matrix, moving, resize, scaling, tilted, turning, waves

_KINDS = [(shape, dtype) for shape in ((20, 30), (20, 30, 3)) for dtype in (np.uint8, np.uint16)]


def _random(shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def _motion(size: Size, *steps: Warp | Displace) -> Motion:
    motion = Motion.start(size)
    for step in steps:
        motion = motion.then(step)
    return motion


def _moved(pixels: NDArray[Any], *steps: Warp | Displace, fill: Fill | None = None) -> NDArray[Any]:
    size = Size(pixels.shape[1], pixels.shape[0])
    return warp(Frame(pixels), _motion(size, *steps), fill or Fill()).colour


@pytest.mark.parametrize(("shape", "dtype"), _KINDS)
def test_flips_and_quarter_turns_only_change_places(shape: tuple[int, ...], dtype: Any) -> None:
    pixels = _random(shape, dtype)
    size, turned = Size(30, 20), Size(20, 30)
    upside_down = Warp(matrix((1, 0, 0), (0, -1, 20), (0, 0, 1)), size)
    clockwise = around(turning(90), size, turned)
    np.testing.assert_array_equal(_moved(pixels, flip(size)), pixels[:, ::-1])
    np.testing.assert_array_equal(_moved(pixels, upside_down), pixels[::-1])
    np.testing.assert_array_equal(_moved(pixels, clockwise), np.rot90(pixels, -1))
    np.testing.assert_array_equal(_moved(pixels, around(turning(180), size)), pixels[::-1, ::-1])
    np.testing.assert_array_equal(_moved(pixels, around(turning(-90), size, turned)), np.rot90(pixels))
    np.testing.assert_array_equal(_moved(pixels, clockwise, flip(turned)), np.swapaxes(pixels, 0, 1))
    np.testing.assert_array_equal(_moved(pixels, flip(size), clockwise), np.rot90(pixels[:, ::-1], -1))


@pytest.mark.parametrize(("shape", "dtype"), _KINDS)
@pytest.mark.parametrize("kind", list(FillKind))
def test_whole_pixels_are_cut_and_added_exactly(shape: tuple[int, ...], dtype: Any, kind: FillKind) -> None:
    pixels = _random(shape, dtype)
    mode: Any = {FillKind.COLOUR: "constant", FillKind.EDGE: "edge", FillKind.MIRROR: "symmetric"}[kind]
    # Above and below more is added than there is of the picture.
    around_it = np.pad(pixels, ((50, 50), (10, 10), *[(0, 0)] * (pixels.ndim - 2)), mode)
    fill = Fill(kind)
    np.testing.assert_array_equal(_moved(pixels, crop(3, 4, 20, 10), fill=fill), pixels[4:14, 3:23])
    np.testing.assert_array_equal(_moved(pixels, Warp(moving(10, 50), Size(50, 120)), fill=fill), around_it)
    np.testing.assert_array_equal(_moved(pixels, Warp(moving(-7, 6), Size(30, 20)), fill=fill), around_it[44:64, 17:47])
    np.testing.assert_array_equal(_moved(pixels, Warp(moving(-7, 45), Size(30, 20)), fill=fill), around_it[5:25, 17:47])
    np.testing.assert_array_equal(_moved(pixels, flip(Size(30, 20)), Warp(moving(10, 50), Size(50, 120)), fill=fill), around_it[:, ::-1])


def _ramp(size: Size) -> NDArray[np.uint16]:
    """Tells where a pixel comes from: its x and y, in hundredths."""
    x, y = np.meshgrid(np.arange(size.width) + 0.5, np.arange(size.height) + 0.5)
    told: NDArray[np.uint16] = np.rint(np.dstack((x * 100, y * 100, x * 0))).astype(np.uint16)
    return told


_BIG = Size(120, 90)
_MOVEMENTS: dict[str, list[Warp | Displace]] = {
    "rotation": [around(turning(31), _BIG)],
    "mirrored rotation": [around(turning(31), _BIG), flip(_BIG)],
    "enlargement": [around(scaling(2.3, 1.7), _BIG)],
    "part of a pixel": [Warp(moving(0.25, -0.5), _BIG)],
    "shear": [around(matrix((1, 0.5, 0), (0, 1, 0), (0, 0, 1)), _BIG)],
    "perspective": [tilted(_BIG, 0.4, -0.3)],
    "larger size": [resize(_BIG, 301, 200)],
    "smaller size": [resize(_BIG, 77, 61)],
    "half": [resize(_BIG, 60, 45)],
    "fifth": [resize(_BIG, 24, 18)],
    "one side smaller, one larger": [resize(_BIG, 40, 200)],
    "crop and resize": [crop(10, 20, 60, 50), resize(Size(60, 50), 200, 200)],
    "turn and resize": [around(turning(90), _BIG, Size(90, 120)), resize(Size(90, 120), 45, 30)],
    "strong zoom out": [around(scaling(0.31, 0.31), _BIG)],
    "strong zoom out, turned": [around(scaling(0.3, 0.2) @ turning(25), _BIG)],
    "squeezed along a diagonal": [around(scaling(0.2, 1) @ turning(45), _BIG)],
    "perspective, far away": [around(scaling(0.3, 0.3), _BIG), tilted(_BIG, 0.4, 0.4)],
    "bend": [waves(_BIG, 0.5, 1.5, 1)],
    "bend, turned": [around(turning(20), _BIG), waves(_BIG, 0.5, 1.5, 1), tilted(_BIG, 0.2, 0.2)],
    "bend, made smaller": [waves(_BIG, 0.3, 1, 1), resize(_BIG, 30, 22)],
    "made smaller, bent": [resize(_BIG, 30, 22), waves(Size(30, 22), 0.3, 1, 1)],
}


@pytest.mark.parametrize("name", list(_MOVEMENTS))
def test_every_pixel_comes_from_where_the_motion_says(name: str) -> None:
    motion = _motion(_BIG, *_MOVEMENTS[name])
    after = warp(Frame(_ramp(_BIG)), motion, Fill(FillKind.EDGE)).colour[:, :, :2] / 100
    x, y = np.meshgrid(np.arange(motion.size.width) + 0.5, np.arange(motion.size.height) + 0.5)
    places = motion.backward(np.column_stack((x.ravel(), y.ravel())))
    step = max(np.abs(np.diff(places.reshape(*x.shape, 2), axis=0)).max(), np.abs(np.diff(places.reshape(*x.shape, 2), axis=1)).max(), 1)
    # Where what is averaged lies within the picture.
    whole = ((places > step) & (places < np.array([_BIG.width, _BIG.height]) - step)).all(axis=1).reshape(x.shape)
    assert whole.sum() > 20
    expected = places.reshape(*x.shape, 2)[whole]
    if motion.since_cut is not None:
        # There is nothing beyond the centres of the outermost pixels that a crop left.
        expected = np.clip(expected, (10.5, 20.5), (69.5, 69.5))
    # Parts of pixels that are averaged have the value of the whole pixel.
    np.testing.assert_allclose(after[whole], expected, atol=0.05 if step == 1 else 0.13)


@pytest.mark.parametrize(
    "name", ["fifth", "strong zoom out", "strong zoom out, turned", "squeezed along a diagonal", "perspective, far away"]
)
def test_what_shrinks_does_not_alias(name: str) -> None:
    _assert_even(_MOVEMENTS[name])


def test_what_shrinks_and_bends_does_not_alias() -> None:
    _assert_even([waves(_BIG, 0.3, 1, 1), resize(_BIG, 24, 18)])
    _assert_even([resize(_BIG, 24, 18), waves(Size(24, 18), 0.3, 1, 1)])


def _assert_even(steps: list[Warp | Displace]) -> None:
    """Stripes and squares as fine as there can be become an even grey."""
    rows, columns = np.indices((90, 120))
    for pattern in (rows % 2, columns % 2, (rows + columns) % 2):
        after = _moved((pattern * 255).astype(np.uint8), *steps, fill=Fill(FillKind.MIRROR)).astype(float)
        assert abs(after.mean() - 127.5) < 6
        assert after.std() < 32


def test_a_shrink_of_one_side_leaves_the_other_sharp() -> None:
    stripes = np.repeat(np.arange(90)[:, None] % 2 * 255, 120, axis=1).astype(np.uint8)
    after = _moved(stripes, around(scaling(0.25, 1), _BIG), fill=Fill(FillKind.EDGE))
    np.testing.assert_array_equal(after, stripes)


def test_the_outermost_pixels_are_not_darkened_where_nothing_outside_is_to_be_seen() -> None:
    white = np.full((40, 40), 255, np.uint8)
    assert _moved(white, crop(0, 0, 10, 10), resize(Size(10, 10), 80, 80)).min() == 255
    assert _moved(white, around(turning(45) @ scaling(1.42, 1.42), Size(40, 40)), resize(Size(40, 40), 320, 320)).min() == 255
    assert _moved(white, resize(Size(40, 40), 93, 17)).min() == 255


def test_a_letterbox_has_sharp_borders() -> None:
    white = np.full((20, 40), 255, np.uint8)
    boxed = _moved(white, resize(Size(40, 20), 120, 60), Warp(moving(0, 30), Size(120, 120)))
    np.testing.assert_array_equal(boxed, np.pad(np.full((60, 120), 255), ((30, 30), (0, 0))))


@pytest.mark.parametrize(
    "steps", [[around(turning(30), Size(30, 20))], [Warp(moving(9, 9), Size(50, 50))], [waves(Size(30, 20), 0.6, 1, 1)]]
)
def test_the_fill_colour_is_red_green_blue_whatever_the_frame(steps: list[Warp | Displace]) -> None:
    fill = Fill(colour=(250, 100, 10))
    far = [*steps, Warp(moving(100, 100), Size(99, 99))]
    assert (_moved(_random((20, 30, 3)), *far, fill=fill)[0, 0] == (10, 100, 250)).all()
    assert (_moved(_random((20, 30, 3), np.uint16), *far, fill=fill)[0, 0] == (2570, 25700, 64250)).all()
    assert _moved(_random((20, 30)), *far, fill=fill)[0, 0] == round(0.299 * 250 + 58.7 + 1.14)


_TURNED: list[list[Warp | Displace]] = [
    [around(turning(30), Size(40, 40))],
    [tilted(Size(40, 40), 0.3, 0.2)],
    [waves(Size(40, 40), 0.6, 1, 1)],
    [around(scaling(0.3, 0.3), Size(40, 40))],
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("steps", _TURNED)
def test_what_is_transparent_does_not_bleed_into_what_is_not(dtype: Any, steps: list[Warp | Displace]) -> None:
    white = np.iinfo(dtype).max
    # Red where it is opaque, and white where nobody sees it.
    colour, alpha = np.full((40, 40, 3), white, dtype), np.zeros((40, 40), dtype)
    colour[10:30, 10:30], alpha[10:30, 10:30] = (0, 0, white), white
    after = warp(Frame(colour, alpha), _motion(Size(40, 40), *steps), Fill())
    assert after.alpha is not None
    seen = after.alpha > white // 50
    assert seen.sum() > 20
    assert after.colour[seen][:, :2].max() <= white // 60
    assert after.colour[seen][:, 2].min() >= white - white // 60


@pytest.mark.parametrize("steps", _TURNED)
def test_a_picture_with_alpha_is_transparent_outside_unless_a_colour_is_asked_for(steps: list[Warp | Displace]) -> None:
    for level in (255, 200):
        frame = Frame(np.full((40, 40, 3), 90, np.uint8), np.full((40, 40), level, np.uint8))
        motion = _motion(Size(40, 40), *steps, Warp(moving(10, 0), Size(40, 40)))
        clear = warp(frame, motion, Fill())
        assert clear.alpha is not None and clear.alpha[20, 0] == 0 and not clear.colour[20, 0].any()
        assert abs(int(clear.alpha[20, 30]) - level) <= 1 and np.abs(clear.colour[20, 30].astype(int) - 90).max() <= 1
        # No dark rim: what is half transparent has the colour of what is not.
        assert np.abs(clear.colour[clear.alpha > 20].astype(int) - 90).max() <= 6
        green = warp(frame, motion, Fill(colour=(0, 200, 0)))
        assert green.alpha is not None and green.alpha[20, 0] == 255 and (green.colour[20, 0] == (0, 200, 0)).all()
        edge = warp(frame, motion, Fill(FillKind.EDGE))
        assert edge.alpha is not None and np.abs(edge.alpha.astype(int) - level).max() <= 1


_ALL_SORTS = ["turn", "rotate", "zoom in", "zoom out", "tilt", "bend", "pad", "far away", "resize", "squeeze"]


def _sort(name: str, size: Size) -> list[Warp | Displace]:
    width, height = size.width, size.height
    sorts: dict[str, list[Warp | Displace]] = {
        "turn": [around(turning(90), size, Size(height, width)), flip(Size(height, width))],
        "rotate": [around(turning(33), size)],
        "zoom in": [around(scaling(10, 10), size)],
        "zoom out": [around(scaling(0.1, 0.1), size)],
        "tilt": [tilted(size, 0.4, 0.4)],
        "bend": [waves(size, 0.6, 2, 1)],
        "pad": [Warp(moving(3, 5), Size(width + 7, height + 9)), around(turning(3), Size(width + 7, height + 9))],
        "far away": [Warp(moving(1e5, -1e7), size)],
        "resize": [resize(size, 5, 64), resize(Size(5, 64), 64, 5)],
        "squeeze": [around(scaling(0.01, 1) @ turning(45), size)],
    }
    return sorts[name]


@pytest.mark.parametrize("name", _ALL_SORTS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (9, 1), (2, 2), (1, 3000), (3000, 1)])
def test_frames_of_any_shape_bear_every_movement(width: int, height: int, name: str) -> None:
    motion = _motion(Size(width, height), *_sort(name, Size(width, height)))
    for fill in (Fill(FillKind.EDGE), Fill(FillKind.MIRROR), Fill(), Fill(colour=(80, 80, 80))):
        for dtype in (np.uint8, np.uint16):
            level = 80 * (np.iinfo(dtype).max // 255)
            for shape in ((height, width), (height, width, 3)):
                frame = Frame(np.full(shape, level, dtype), np.full((height, width), level, dtype))
                opaque = warp(Frame(frame.colour), motion, fill)
                assert opaque.size == motion.size and opaque.colour.dtype == dtype and opaque.colour.ndim == len(shape)
                # A picture of one colour keeps it.
                if fill != Fill():
                    assert np.abs(opaque.colour.astype(int) - level).max() <= 1
                both = warp(frame, motion, fill)
                assert both.alpha is not None and both.alpha.shape == both.colour.shape[:2] and both.alpha.dtype == dtype
        assert warp_mask(np.ones((height, width), np.uint8), motion).shape == (motion.size.height, motion.size.width)


@pytest.mark.parametrize(
    "steps",
    [
        [around(turning(180.5), Size(40_000, 6))],
        [Warp(moving(0.5, 0.5), Size(40_000, 6))],
        [tilted(Size(40_000, 6), 1e-3, 1e-3)],
        [waves(Size(40_000, 6), 0.0002, 1, 1)],
    ],
)
def test_sides_longer_than_opencv_counts_are_moved_as_others_are(steps: list[Warp | Displace]) -> None:
    size = Size(40_000, 6)
    across = (np.arange(size.width) % 200).astype(np.uint8)
    pixels = np.repeat(across[None], size.height, axis=0)
    motion = _motion(size, *steps)
    for fill in (Fill(FillKind.EDGE), Fill(FillKind.MIRROR), Fill()):
        after = warp(Frame(pixels), motion, fill).colour
        for x, y in ((20_000, 3), (19_900, 2), (20_100, 4)):
            place = motion.backward(np.array([[x + 0.5, y + 0.5]]))[0]
            assert abs(float(after[y, x]) - np.interp(place[0] - 0.5, np.arange(size.width), across)) <= 1.5 or place[0] % 200 > 198
    assert warp_mask(pixels, motion).shape == pixels.shape


def test_a_frame_can_become_longer_than_opencv_counts() -> None:
    size = Size(20, 20)
    pixels = np.full((20, 20), 200, np.uint8)
    wide = _motion(size, around(turning(10) @ scaling(3, 3), size, Size(35_000, 24)))
    after = warp(Frame(pixels), wide, Fill()).colour
    assert after.shape == (24, 35_000) and after[12, 17_500] == 200 and after[12, 0] == 0


def test_a_picture_that_shrinks_to_nothing_leaves_the_fill() -> None:
    size = Size(30, 20)
    gone = _motion(size, *[around(scaling(0.1, 0.1), size)] * 200)
    assert (warp(Frame(_random((20, 30, 3))), gone, Fill(colour=(9, 9, 9))).colour == 9).all()
    grown = _motion(size, *[around(scaling(10, 10), size)] * 200)
    after = warp(Frame(_random((20, 30, 3))), grown, Fill()).colour
    assert (after == after[0, 0]).all()
    assert warp_mask(_random((20, 30)), gone).shape == (20, 30)


def test_mirroring_a_tiny_picture_over_a_large_frame_takes_no_time_to_speak_of() -> None:
    pixels = _random((2, 2))
    started = time.process_time()
    _moved(pixels, Warp(moving(10_000, 10), Size(20_000, 20)), around(turning(1), Size(20_000, 20)), fill=Fill(FillKind.MIRROR))
    assert time.process_time() - started < 1


@pytest.mark.parametrize("bends", [[], [waves(Size(100, 3000), 0.0, 1, 0)]])
def test_no_second_picture_comes_up_behind_the_horizon(bends: list[Warp | Displace]) -> None:
    # The lower half of the picture is moved out of the frame, and to behind the horizon: it would come again above, upside down.
    horizon = Warp(matrix((1, 0, 0), (0, 1, 0), (0, -0.009, 1)), Size(100, 2000))
    steps = [Warp(moving(0, 60), Size(100, 100)), horizon, Warp(moving(0, 1000), Size(100, 3000)), *bends]
    after = _moved(np.full((100, 100), 255, np.uint8), *steps)
    assert after[1200:3000].any()
    assert not after[:1100].any()


def test_a_mask_takes_the_value_of_the_pixel_that_each_centre_lies_in() -> None:
    values = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40)
    size = Size(40, 30)
    several: list[list[Warp | Displace]] = [
        [around(turning(17), size)],
        [around(scaling(0.37, 0.41), size)],
        [tilted(size, 0.3, 0.1)],
        [waves(size, 0.5, 1, 1)],
        [resize(size, 61, 13)],
        [crop(3, 4, 20, 20), resize(Size(20, 20), 50, 50)],
    ]
    for steps in several:
        motion = _motion(size, *steps)
        after = warp_mask(values, motion)
        x, y = np.meshgrid(np.arange(motion.size.width) + 0.5, np.arange(motion.size.height) + 0.5)
        places = motion.backward(np.column_stack((x.ravel(), y.ravel()))).reshape(*x.shape, 2)
        clear = (np.abs(places - np.rint(places)) > 0.04).all(axis=2)
        inside = ((places > 0) & (places < (40, 30))).all(axis=2)
        expected = np.zeros(x.shape, np.uint16)
        columns, rows = np.floor(places[inside]).astype(int).T
        expected[inside] = values[rows, columns]
        np.testing.assert_array_equal(after[clear], expected[clear])


def test_a_motion_that_moves_nothing_gives_the_same_pixels_back() -> None:
    frame = Frame(_random((20, 30, 3)))
    assert warp(frame, _motion(Size(30, 20), flip(Size(30, 20)), flip(Size(30, 20))), Fill()) is frame
