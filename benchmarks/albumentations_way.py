"""Albumentations as a way of augmenting, in its own environment: does a round each time a line asks for one (see `augmentation_ways`).

Written as its documentation has it: one transform a step, boxes as corners of pixels with a label each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import albumentations as A
import cv2
import numpy as np

BOXES = [[60.0, 80.0, 220.0, 300.0], [280.0, 150.0, 430.0, 400.0]]
QUALITY = 90


def composed(steps: list[A.BasicTransform], seed: int) -> A.Compose:
    boxes = A.BboxParams(format="pascal_voc", label_fields=["labels"], min_visibility=0.1)
    return A.Compose(steps, bbox_params=boxes, seed=seed)


def flip_and_colour() -> list[A.BasicTransform]:
    return [
        A.HorizontalFlip(p=1.0),
        A.Rotate(limit=(-15, 15), interpolation=cv2.INTER_LINEAR, border_mode=cv2.BORDER_CONSTANT, p=1.0),
        A.RandomBrightnessContrast(brightness_limit=(-0.2, 0.2), contrast_limit=(-0.2, 0.2), p=1.0),
        A.ToGray(p=1.0),
    ]


def five_movements() -> list[A.BasicTransform]:
    return [
        A.Affine(translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)}, p=1.0),
        A.Rotate(limit=(-15, 15), interpolation=cv2.INTER_LINEAR, border_mode=cv2.BORDER_CONSTANT, p=1.0),
        A.Affine(shear={"x": (-10, 10), "y": (-10, 10)}, p=1.0),
        A.Affine(scale=(0.8, 1.25), p=1.0),
        A.Perspective(scale=(0.02, 0.1), p=1.0),
    ]


def main() -> None:
    cv2.setNumThreads(1)
    files = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.jpg"))]
    decoded = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB) for file in files]
    files_way, pixels_way = composed(flip_and_colour(), 7), composed(five_movements(), 7)

    def files_round() -> None:
        for file in files:
            picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
            made = files_way(image=picture, bboxes=BOXES, labels=["cat", "dog"])
            # All channels are equal by now, so their order does not matter.
            done, _ = cv2.imencode(".jpg", made["image"], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            assert done

    def pixels_round() -> None:
        for picture in decoded:
            pixels_way(image=picture, bboxes=BOXES, labels=["cat", "dog"])

    print(json.dumps({"files": len(files)}), flush=True)
    for line in sys.stdin:
        started = time.process_time()
        {"files": files_round, "pixels": pixels_round}[line.strip()]()
        print(json.dumps(time.process_time() - started), flush=True)


if __name__ == "__main__":
    main()
