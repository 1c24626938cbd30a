"""COCO's labels on their way in and out: run lengths, masks as PNG, outlines, bodies; and the headers that say how large a picture is."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_client import BoxLabel, KeypointLabel, MaskLabel, PictureLabels, PolygonLabel, ServerError, SourceError, Visibility
from labelmesh_client.augmenting.annotations import Context
from labelmesh_client.augmenting.coco import Coco, find_candidates, pairs_of, read_coco
from labelmesh_client.augmenting.headers import format_of, read_size
from labelmesh_client.augmenting.masks import in_layers, mask_of, read_grey, write_grey
from labelmesh_client.augmenting.rle import bounds_of, counts_of, decode_counts, encode_counts, pixels_of
from PIL import Image

# The example of the COCO API's own documentation, in both of its forms.
COUNTS, TEXT = [6, 1, 40, 4, 5, 4, 5, 4, 21], "61X13mN000`0"


def test_run_lengths_are_those_of_the_definition() -> None:
    assert decode_counts(TEXT) == COUNTS
    assert encode_counts(COUNTS) == TEXT
    # maskApi.h: M=[0 0 1 1 1 0 1] has the counts [2 3 1 1], M=[1 1 1 1 1 1 0] has [0 6 1].
    assert counts_of(bytes([0, 0, 1, 1, 1, 0, 1]), 1, 7) == [2, 3, 1, 1]
    assert counts_of(bytes([1, 1, 1, 1, 1, 1, 0]), 1, 7) == [0, 6, 1]
    # Column by column: the left of two columns is inside.
    assert pixels_of([0, 3, 3], 2, 3) == bytes([1, 0, 1, 0, 1, 0])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_run_lengths_lose_nothing(width: int, height: int, data: st.DataObject) -> None:
    pixels = bytes(data.draw(st.lists(st.integers(0, 1), min_size=width * height, max_size=width * height)))
    counts = counts_of(pixels, width, height)
    assert pixels_of(counts, width, height) == pixels
    assert decode_counts(encode_counts(counts)) == counts
    array = numpy.frombuffer(pixels, numpy.uint8).reshape(height, width)
    # By numpy: where the flattened columns change, with a 0 put before.
    changes = numpy.flatnonzero(numpy.diff(numpy.concatenate([[0], array.flatten("F")])))
    assert counts == numpy.diff(numpy.concatenate([[0], changes, [width * height]])).tolist()[: len(counts)]
    left, top, wide, high, area = bounds_of(pixels, width, height)
    ys, xs = numpy.nonzero(array)
    expected = (xs.min(), ys.min(), numpy.ptp(xs) + 1, numpy.ptp(ys) + 1, len(xs)) if len(xs) else (0, 0, 0, 0, 0)
    assert (left, top, wide, high, area) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**31), max_size=30))
def test_compressed_counts_of_any_size_come_back(counts: list[int]) -> None:
    assert decode_counts(encode_counts(counts)) == counts


@pytest.mark.parametrize("text", ["o", "é", "ooooooooooooooo0", "\n", "6o"])
def test_damaged_counts_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        decode_counts(text)


@pytest.mark.parametrize(
    ("counts", "width", "height"), [([3], 2, 2), ([-1, 5], 2, 2), ([4.0], 2, 2), ([4], 0, 4), ([10**12], 10**6, 10**6)]
)
def test_counts_that_do_not_fit_the_size_are_refused(counts: list[Any], width: int, height: int) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        pixels_of(counts, width, height)


@pytest.mark.parametrize("writer", ["pillow", "opencv", "opencv16", "own", "pillow2"])
@pytest.mark.parametrize("kind", ["noise", "smooth", "flat", "blocks", "line"])
def test_masks_are_read_as_others_write_them(writer: str, kind: str) -> None:
    random = numpy.random.default_rng(3)
    array = numpy.zeros((37, 53), numpy.uint8)
    if kind == "noise":
        array = random.integers(0, 256, array.shape, dtype=numpy.uint8)
    elif kind == "smooth":
        array = (numpy.add.outer(numpy.arange(37), numpy.arange(53) * 2) % 256).astype(numpy.uint8)
    elif kind == "blocks":
        array[5:20, 7:30], array[15:30, 25:50] = 1, 2
    elif kind == "line":
        array[18, :] = 200
    if writer == "pillow2":
        array //= 128
        content = io.BytesIO()
        Image.fromarray(array * 255).convert("1").save(content, "PNG")
        data = content.getvalue()
    elif writer == "pillow":
        content = io.BytesIO()
        Image.fromarray(array).save(content, "PNG", optimize=kind == "smooth")
        data = content.getvalue()
    elif writer == "own":
        data = write_grey(53, 37, array.tobytes())
        assert (numpy.asarray(Image.open(io.BytesIO(data))) == array).all()
    else:
        data = cv2.imencode(".png", array.astype(numpy.uint16) if writer == "opencv16" else array)[1].tobytes()
    assert read_grey(data) == (53, 37, array.tobytes())


@pytest.mark.parametrize("filter_kind", range(5))
@pytest.mark.parametrize("depth", [8, 16])
def test_every_filter_of_png_is_undone(filter_kind: int, depth: int) -> None:
    flags = (cv2.IMWRITE_PNG_FILTER, [8, 16, 32, 64, 128][filter_kind])  # PNG_FILTER_NONE ... PNG_FILTER_PAETH
    array = numpy.random.default_rng(filter_kind).integers(0, 256, (23, 31), dtype=numpy.uint8)
    array[5:9] = 0
    data = cv2.imencode(".png", array.astype(numpy.uint16) if depth == 16 else array, flags)[1].tobytes()
    assert read_grey(data)[2] == array.tobytes()


def test_what_is_no_grey_png_is_the_servers_fault() -> None:
    good = write_grey(4, 4, bytes(16))
    for bad in (b"", b"GIF89a", good[:30], good[:-30], good.replace(b"\x08\x00\x00\x00\x00", b"\x08\x02\x00\x00\x00")):
        with pytest.raises(ServerError):
            read_grey(bad)


def test_masks_share_layers_where_they_do_not_overlap() -> None:
    masks = [bytes([1, 1, 0, 0]), bytes([0, 0, 1, 1]), bytes([0, 1, 1, 0]), bytes([1, 0, 0, 0])]
    layers = in_layers(enumerate(masks))
    assert [layer.members for layer in layers] == [(0, 1), (2, 3)]
    assert layers[0].pixels == bytes([1, 1, 2, 2])
    for layer in layers:
        for value, number in enumerate(layer.members, 1):
            assert mask_of(layer.pixels, value) == masks[number]
    with pytest.raises(SourceError, match="lie over each other"):
        in_layers((number, b"\1") for number in range(17))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_header_says_the_size_as_it_is_seen(tmp_path: Path, form: str, orientation: int, lossless: bool) -> None:
    image = Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=numpy.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "picture"
    options: dict[str, Any] = {"lossless": lossless} if form == "WEBP" else {"progressive": lossless} if form == "JPEG" else {}
    if form != "GIF" and orientation != 1:
        options["exif"] = exif
    image.save(path, form, **options)
    size = read_size(path)
    assert size is not None
    assert size.upright == ((40, 70) if orientation == 6 and form != "GIF" else (70, 40))
    for length in (0, 5, 16, 30):
        short = tmp_path / "short"
        short.write_bytes(path.read_bytes()[:length])
        read_size(short)  # says nothing rather than to fail


def test_formats_are_told_by_content() -> None:
    assert format_of(b"RIFF\0\0\0\0WAVE") is None
    assert format_of(b"BM\0\0") is None
    assert format_of(b"") is None
    assert format_of(b"MM\0*") == "TIFF"


# --- COCO ---


def document(**more: Any) -> dict[str, Any]:
    return {
        "info": {"description": "of a test"},
        "images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 10, "license": 3, "coco_url": "https://example.org"}],
        "categories": [
            {"id": 2, "name": "fox", "keypoints": ["nose", "left_eye", "right_eye"], "skeleton": [[1, 2]]},
            {"id": 5, "name": "left hand"},
            {"id": 6, "name": "right hand"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0, "score": 0.5},
            {
                "id": 2,
                "image_id": 7,
                "category_id": 5,
                "segmentation": [[0, 0, 4, 0, 4, 4], [6, 6, 8, 6, 8, 8], [1, 1]],
                "bbox": [0, 0, 8, 8],
            },
            {"id": 3, "image_id": 7, "category_id": 2, "iscrowd": 1, "segmentation": {"size": [10, 20], "counts": [0, 10, 190]}},
            {"id": 4, "image_id": 7, "category_id": 2, "bbox": [2, 2, 9, 7], "keypoints": [3, 4, 2, 5, 6, 1, 0, 0, 0], "num_keypoints": 2},
            {"id": 5, "image_id": 7, "category_id": 2, "bbox": [0, 0, 0, 0], "keypoints": [0, 0, 0, 5, 6, 2, 0, 0, 0]},
            {"id": 6, "image_id": 7, "category_id": 2, "bbox": [0, 0, 0, 5]},
        ],
    } | more


def read(folder: Path, content: Any, names: tuple[str, ...] = ("a.png",), at: str = "annotations.json") -> Coco:
    path = folder / at
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_coco(path, folder, names)


def test_each_kind_of_label_goes_in_and_comes_out_as_it_was_where_nothing_moved(tmp_path: Path) -> None:
    coco = read(tmp_path, document())
    labels, context = coco.labels_of("a.png", "0:")
    assert coco.unusable == 1
    assert [box.label for box in labels.boxes] == ["fox", "fox"]
    assert labels.boxes[0] == BoxLabel(1, 2, 3, 4, "fox", "0:0")
    assert list(map(list, labels.polygons[0].rings)) == [[(0, 0), (4, 0), (4, 4)], [(6, 6), (8, 6), (8, 8)]]
    assert [(point.x, point.y, point.label, point.visibility.value) for point in labels.keypoints[:2]] == [
        (3.5, 4.5, "nose", "visible"),
        (5.5, 6.5, "left_eye", "hidden"),
    ]
    made = coco.results(labels, {"0:": context}, (20, 10))
    assert [one["labelmesh"] for one in made] == [{"annotation_id": number} for number in (1, 2, 3, 4, 5)]
    box, outline, mask, body, points = made
    assert (box["bbox"], box["area"], box["segmentation"], box["score"], box["iscrowd"]) == ([1, 2, 3, 4], 12, [], 0.5, 0)
    assert outline["segmentation"] == [[0, 0, 4, 0, 4, 4], [6, 6, 8, 6, 8, 8]]
    assert (outline["bbox"], outline["area"]) == ([0, 0, 8, 8], 10)
    assert (mask["segmentation"], mask["bbox"], mask["area"]) == ({"size": [10, 20], "counts": [0, 10, 190]}, [0, 0, 1, 10], 10)
    assert (body["keypoints"], body["num_keypoints"]) == ([3, 4, 2, 5, 6, 1, 0, 0, 0], 2)
    assert points["keypoints"] == [0, 0, 0, 5, 6, 2, 0, 0, 0]


def test_mirrored_names_stand_in_their_own_places_and_labels_find_their_category(tmp_path: Path) -> None:
    coco = read(tmp_path, document())
    _, context = coco.labels_of("a.png")
    labels = PictureLabels(
        boxes=(BoxLabel(4, 1, 9, 7, "fox", "3", visible_share=0.61239),),
        polygons=(PolygonLabel((((1, 1), (2, 1), (2, 2)),), "right hand", "1", weight=0.25),),
        keypoints=(
            KeypointLabel(7.5, 4.25, "nose", "3.0"),
            KeypointLabel(8.5, 4.5, "right_eye", "3.1"),
            KeypointLabel(-5, 4, "nose", "4.1", Visibility.OUTSIDE),
        ),
    )
    outline, body = coco.results(labels, {"": context}, (20, 10))
    assert body["keypoints"] == [7, 3.75, 2, 0, 0, 0, 8, 4, 2]
    assert body["labelmesh"] == {"annotation_id": 4, "visible_share": 0.6124}
    assert (outline["category_id"], outline["labelmesh"]["weight"]) == (6, 0.25)


def test_an_annotation_that_comes_back_several_times_has_the_points_of_each(tmp_path: Path) -> None:
    coco = read(tmp_path, document())
    _, context = coco.labels_of("a.png", "0:")
    labels = PictureLabels(
        boxes=(BoxLabel(50, 0, 10, 10, "fox", "1:3"), BoxLabel(0, 0, 10, 10, "fox", "0:3"), BoxLabel(0, 50, 10, 10, "fox", "1:3")),
        keypoints=(
            *(KeypointLabel(place, 5, "nose", "1:3.0") for place in (5, 55)),
            KeypointLabel(9, 55, "nose", "1:3.0"),
            *(KeypointLabel(place, 6, "left_eye", "1:3.1") for place in (6, 56)),
            KeypointLabel(8, 55, "left_eye", "1:3.1"),
            KeypointLabel(3, 3, "nose", "0:3.0"),
        ),
    )
    other = Context(context.annotations, name="other.png")
    made = coco.results(labels, {"0:": context, "1:": other}, (20, 10))
    assert [(one["bbox"][:2], one["keypoints"], one["labelmesh"].get("source_file")) for one in made] == [
        ([0, 0], [2.5, 2.5, 2, 0, 0, 0, 0, 0, 0], None),
        ([50, 0], [54.5, 4.5, 2, 55.5, 5.5, 2, 0, 0, 0], "other.png"),
        ([0, 50], [8.5, 54.5, 2, 7.5, 54.5, 2, 0, 0, 0], "other.png"),
    ]


def test_a_body_that_left_the_picture_is_gone_with_its_points(tmp_path: Path) -> None:
    coco = read(tmp_path, document())
    _, context = coco.labels_of("a.png")
    assert coco.results(PictureLabels(keypoints=(KeypointLabel(1, 1, "nose", "3.0"),)), {"": context}, (20, 10)) == []
    blank = MaskLabel(write_grey(20, 10, bytes(200)), id="m0")
    assert coco.results(PictureLabels(masks=(blank,)), {"": context}, (20, 10)) == []


@pytest.mark.parametrize(
    "labels",
    [
        PictureLabels(boxes=(BoxLabel(0, 0, 1, 1, id="99"),)),
        PictureLabels(boxes=(BoxLabel(0, 0, 1, 1, id="x:0"),)),
        PictureLabels(boxes=(BoxLabel(0, 0, 1, 1, id="-1"),)),
        PictureLabels(keypoints=(KeypointLabel(0, 0, id="3.9"),)),
        PictureLabels(keypoints=(KeypointLabel(0, 0, id="3"),)),
        PictureLabels(masks=(MaskLabel(write_grey(20, 10, bytes(200)), id="m5"),)),
        PictureLabels(masks=(MaskLabel(write_grey(10, 20, bytes(200)), id="m0"),)),
    ],
)
def test_labels_that_were_never_sent_are_the_servers_fault(tmp_path: Path, labels: PictureLabels) -> None:
    coco = read(tmp_path, document())
    _, context = coco.labels_of("a.png")
    with pytest.raises(ServerError, match="not asked about"):
        coco.results(labels, {"": context}, (20, 10))


def test_images_are_found_by_path_beside_the_file_and_by_a_name_that_only_one_has(tmp_path: Path) -> None:
    images = [
        {"id": number, "file_name": name} for number, name in enumerate(["sub/a.png", "b.png", "c.png", "d.png", "x\\e.png", "gone.png"])
    ]
    names = ("sub/a.png", "sub/b.png", "sub/c.png", "other/c.png", "annotations/d.png", "d.png", "x/e.png")
    coco = read(tmp_path, document(images=images, annotations=[]), names, "annotations/instances_val.json")
    assert {name: image["id"] for name, image in coco.images.items()} == {"sub/a.png": 0, "sub/b.png": 1, "d.png": 3, "x/e.png": 4}
    assert (coco.ambiguous, coco.missing) == (["c.png"], ["gone.png"])
    assert find_candidates(tmp_path) == [tmp_path / "annotations" / "instances_val.json"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "is not JSON"),
        ("[]", "no COCO file"),
        ("{}", "no COCO file"),
        ({"images": 3}, "no COCO file"),
        (document(images=[{"id": "x", "file_name": "a"}]), "images[0]"),
        (document(images=[{"id": 7, "file_name": "a"}, {"id": 7, "file_name": "b"}]), "images[1]"),
        (document(annotations=[{"image_id": 8, "category_id": 2}]), "annotations[0].image_id"),
        (document(annotations=[{"image_id": 7, "category_id": 1}]), "annotations[0].category_id"),
    ],
)
def test_what_is_no_coco_file_is_said_with_the_place(tmp_path: Path, content: Any, part: str) -> None:
    with pytest.raises(SourceError) as raised:
        read(tmp_path, content)
    assert part in str(raised.value)


def test_left_and_right_are_told_by_names() -> None:
    names = [
        "nose",
        "left_eye",
        "right_eye",
        "l-ear",
        "r-ear",
        "pawLeft",
        "pawRight",
        "leftover",
        "lip",
        "rip",
        "Left hip",
        "Right hip",
        "tail_l",
    ]
    assert pairs_of(names) == [("left_eye", "right_eye"), ("l-ear", "r-ear"), ("pawLeft", "pawRight"), ("Left hip", "Right hip")]


def test_the_digest_of_a_picture_changes_with_its_own_labels_alone(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}]
    box = {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]}
    first = read(tmp_path, document(images=images, annotations=[box]), ("a.png", "b.png"))
    other = read(tmp_path, document(images=images, annotations=[box, {**box, "image_id": 8}]), ("a.png", "b.png"))
    assert first.digest_of("a.png") == other.digest_of("a.png") != ""
    assert first.digest_of("b.png") != other.digest_of("b.png")


def test_a_tiff_whose_directory_points_nowhere_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 2**31))
    assert read_size(path) is None
