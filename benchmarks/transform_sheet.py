"""Makes the guide's picture of all transforms: `python -m benchmarks.transform_sheet [docs/images/transforms.jpg]`.

Each is done to one of scikit-learn's sample photographs, with a box around the pagoda and a point on its top. Blur, noise and compression
are done to its roof alone, where they can be seen.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from labelmesh_augment.geometry.labels import Box, Keypoint, Labels, Visibility
from labelmesh_augment.pipelines.augmenting import Loaded, Sample, augment, load
from labelmesh_augment.pipelines.pipeline import Format, Output, Pipeline, Step
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.transform import Family
from PIL import Image, ImageDraw, ImageFont

SHEET = Path(__file__).resolve().parent.parent / "docs" / "images" / "transforms.jpg"
COLUMNS = 8
CELL = (200, 140)
CAPTION = 20
SEED = 7

PAGODA = Labels(boxes=(Box(66, 28, 304, 366),), keypoints=(Keypoint(205, 33),))
DAHLIA = Labels(boxes=(Box(167, 85, 278, 273),))

# Left, top, right, bottom.
ROOF = (90, 15, 342, 188)

# Single values, so that each is seen for what it is at this size.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "rotate": {"angle": 20},
    "shear": {"x": 20, "y": 0},
    "zoom": {"factor": 1.6},
    "translate": {"x": 0.2, "y": 0.1},
    "perspective": {"strength": 0.15},
    "affine": {"angle": -12, "zoom": 0.8, "shear_x": 12, "shear_y": 0},
    "random_crop": {"area": 0.4, "ratio": 1},
    "crop_around_boxes": {"room": [0.1, 0.4]},
    "resize": {"mode": "exact", "width": 300, "height": 300},
    "pad": {"left": 64, "top": 20, "right": 20, "bottom": 20},
    "elastic": {"strength": 0.6, "cells": 5},
    "optical_distortion": {"k1": 0.28},
    "brightness": {"shift": 0.2},
    "contrast": {"factor": 1.8},
    "saturation": {"factor": 2},
    "hue": {"angle": 60},
    "gamma": {"gamma": 2.2},
    "clahe": {"clip_limit": 3},
    "channel_shuffle": {"order": "bgr"},
    "posterize": {"bits": 2},
    "colour_jitter": {"brightness": -0.1, "contrast": 1.4, "saturation": 0.6, "hue": 15},
    "gaussian_blur": {"sigma": 2.5},
    "motion_blur": {"length": 14, "angle": 20},
    "sharpen": {"amount": 2.5},
    "gaussian_noise": {"sigma": 0.1},
    "salt_and_pepper": {"amount": 0.05},
    "iso_noise": {"iso": 25_000, "colour": 0.8},
    "jpeg_quality": {"quality": 8},
    "downscale": {"scale": 0.2, "restoring": "blocks"},
    "cutout": {"count": 2},
    "shade": {"strength": 0.6, "count": 3},
    "fog": {"density": 0.6},
    "rain": {"amount": 0.8, "opacity": 0.6},
    "mixup": {"alpha": 64},
    "cutmix": {"alpha": 20},
}


def sheet() -> Image.Image:
    """All transforms in the catalogue's order, after the photograph itself."""
    pagoda, roof, dahlia = _photograph("china.jpg", PAGODA), _photograph("china.jpg", Labels(), ROOF), _photograph("flower.jpg", DAHLIA)
    cells = [("the photograph", _shown(pagoda, (), ()))]
    for name, transform in CATALOGUE.items():
        if transform.family is Family.COMPOSITION:
            continue
        further = (dahlia, pagoda, dahlia)[: transform.further_pictures]
        cells.append(
            (
                name,
                _shown(roof if transform.family is Family.QUALITY else pagoda, (Step(name, parameters=SETTINGS.get(name, {})),), further),
            )
        )
    rows = -(-len(cells) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * CELL[0], rows * (CELL[1] + CAPTION)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for index, (name, picture) in enumerate(cells):
        x, y = index % COLUMNS * CELL[0], index // COLUMNS * (CELL[1] + CAPTION)
        draw.text((x + CELL[0] // 2, y + CAPTION // 2), name, "black", font, anchor="mm")
        canvas.paste(picture, (x + (CELL[0] - picture.width) // 2, y + CAPTION + (CELL[1] - picture.height) // 2))
    return canvas


def _photograph(name: str, labels: Labels, detail: tuple[int, int, int, int] | None = None) -> Loaded:
    content = files("sklearn.datasets.images").joinpath(name).read_bytes()
    if detail is not None:
        cut = io.BytesIO()
        Image.open(io.BytesIO(content)).crop(detail).save(cut, "PNG")
        content = cut.getvalue()
    return load(Sample(content, labels))


def _shown(loaded: Loaded, steps: tuple[Step, ...], further: tuple[Loaded, ...]) -> Image.Image:
    """A result with its labels, small enough for a cell."""
    result = augment(loaded, normalised(Pipeline(steps, output=Output(Format.PNG))), seed=SEED, further=further)
    picture = Image.open(io.BytesIO(result.content)).convert("RGB")
    shrunk = min((CELL[0] - 6) / picture.width, (CELL[1] - 6) / picture.height)
    picture = picture.resize((max(round(picture.width * shrunk), 1), max(round(picture.height * shrunk), 1)), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for box in result.labels.boxes:
        ends = (box.x * shrunk, box.y * shrunk, (box.x + box.width) * shrunk - 1, (box.y + box.height) * shrunk - 1)
        draw.rectangle(ends, outline="#00e5ff")
    for keypoint in result.labels.keypoints:
        if keypoint.visibility in (Visibility.VISIBLE, Visibility.HIDDEN):
            x, y = keypoint.x * shrunk, keypoint.y * shrunk
            filled = "#ff2d95" if keypoint.visibility is Visibility.VISIBLE else None
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=filled, outline="#ff2d95")
    return picture


def main(arguments: list[str]) -> int:
    """Writes the sheet."""
    sheet().save(Path(arguments[0]) if arguments else SHEET, quality=72, optimize=True, progressive=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
