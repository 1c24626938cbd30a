"""A pipeline to begin with."""

from __future__ import annotations

from typing import Any

#: A pipeline that is a good start for photographs of things that look the same from the left and from the right.
EXAMPLE: dict[str, Any] = {
    "steps": [
        {"transform": "horizontal_flip", "probability": 0.5},
        {"transform": "rotate", "probability": 0.7, "parameters": {"angle": [-12, 12]}},
        {"transform": "zoom", "probability": 0.5, "parameters": {"factor": [0.9, 1.25]}},
        {"transform": "colour_jitter", "probability": 0.8},
        {"transform": "grayscale", "probability": 0.05},
        {
            "transform": "one_of",
            "probability": 0.3,
            "steps": [
                {"transform": "gaussian_blur", "parameters": {"sigma": [0.3, 1.5]}},
                {"transform": "motion_blur"},
                {"transform": "gaussian_noise"},
                {"transform": "jpeg_quality", "parameters": {"quality": [40, 85]}},
            ],
        },
        {"transform": "cutout", "probability": 0.1},
    ],
    "fill": "FILL_MIRROR",
    "labels": {"minVisibleShare": 0.2},
}
