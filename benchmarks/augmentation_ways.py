"""Ways of augmenting that are measured beside each other, each in a process of its own: it does a round each time a line asks for one, and
answers how many seconds of CPU it took.

`library` is labelmesh's, `loop` the straightforward one with nothing but OpenCV: one warp, one look-up, and the boxes through the matrix.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from labelmesh_augment.geometry.labels import Box, Labels
from labelmesh_augment.pipelines import augmenting
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_chassis.memory import keep_small_blocks, return_large_blocks, settle
from numpy.typing import NDArray

QUALITY = 90
BOXES = ((60.0, 80.0, 220.0, 300.0), (280.0, 150.0, 430.0, 400.0))
LABELS = Labels(
    tuple(Box(x0, y0, x1 - x0, y1 - y0, id=name, label=name) for (x0, y0, x1, y1), name in zip(BOXES, ("cat", "dog"), strict=True))
)
FLIP_AND_COLOUR = Pipeline(
    (
        Step("horizontal_flip"),
        Step("rotate", parameters={"angle": [-15, 15]}),
        Step("brightness", parameters={"shift": [-0.2, 0.2]}),
        Step("contrast", parameters={"factor": [0.8, 1.2]}),
        Step("grayscale"),
    )
)
IN_COLOUR = Pipeline(FLIP_AND_COLOUR.steps[:-1])
FIVE_MOVEMENTS = Pipeline(
    (
        Step("translate", parameters={"x": [-0.1, 0.1], "y": [-0.1, 0.1]}),
        Step("rotate", parameters={"angle": [-15, 15]}),
        Step("shear", parameters={"x": [-10, 10], "y": [-10, 10]}),
        Step("zoom", parameters={"factor": [0.8, 1.25]}),
        Step("perspective", parameters={"strength": [0.02, 0.1]}),
    )
)


class Library:
    """labelmesh's library, from file to file, or from pixels to pixels."""

    def __init__(self, files: list[bytes]) -> None:
        self._files = files
        self._round = 0
        self._flip_and_colour, self._five = normalised(FLIP_AND_COLOUR), normalised(FIVE_MOVEMENTS)
        self._loaded = [augmenting.load(augmenting.Sample(file, LABELS)) for file in files]

    def files(self) -> None:
        self._round += 1
        for file in self._files:
            loaded = augmenting.load(augmenting.Sample(file, LABELS))
            augmenting.augment(loaded, self._flip_and_colour, seed=7, copy=self._round)

    def pixels(self) -> None:
        self._round += 1
        for loaded in self._loaded:
            augmenting.augment_pixels(loaded, self._five, seed=7, copy=self._round)


class Loop:
    """The same with OpenCV alone."""

    def __init__(self, files: list[bytes]) -> None:
        self._files = files
        self._chance = np.random.default_rng(7)

    def files(self) -> None:
        for file in self._files:
            self._one(file)

    def _one(self, file: bytes) -> tuple[bytes, NDArray[np.float64]]:
        picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        height, width = picture.shape[:2]
        turned = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self._chance.uniform(-15, 15), 1.0)
        matrix = turned @ np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        moved = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR)
        shift, factor = self._chance.uniform(-0.2, 0.2), math.exp(self._chance.uniform(math.log(0.8), math.log(1.2)))
        levels = np.clip(np.arange(256) / 255 + shift, 0, 1)
        table = np.rint(np.clip((levels - 0.5) * factor + 0.5, 0, 1) * 255).astype(np.uint8)
        gray = cv2.cvtColor(cv2.LUT(moved, table), cv2.COLOR_BGR2GRAY)
        done, written = cv2.imencode(".jpg", cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        assert done
        corners = np.array([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in BOXES]) - 0.5
        places = corners @ matrix[:, :2].T + matrix[:, 2] + 0.5
        boxes = np.concatenate([places.min(axis=1), places.max(axis=1)], axis=1).clip(0, (width, height, width, height))
        return written.tobytes(), boxes


def main() -> None:
    cv2.setNumThreads(1)
    way, folder, *memory = sys.argv[1:]
    if way == "library" or memory:
        # As the processes that use it do.
        return_large_blocks()
        keep_small_blocks()
        settle()
    files = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))]
    made = Library(files) if way == "library" else Loop(files)
    print(json.dumps({"files": len(files)}), flush=True)
    for line in sys.stdin:
        work: Callable[[], None] = getattr(made, {"files": "files", "pixels": "pixels"}[line.strip()])
        started = time.process_time()
        work()
        print(json.dumps(time.process_time() - started), flush=True)


if __name__ == "__main__":
    main()
