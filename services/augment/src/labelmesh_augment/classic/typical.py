"""What is done where nothing is said: what most trainings on photographs do."""

from __future__ import annotations

from labelmesh_augment.pipelines.pipeline import Fill, FillKind, Pipeline, Step

TYPICAL = Pipeline(
    steps=(
        Step("horizontal_flip", 0.5),
        Step("affine", 0.9, {"angle": [-12, 12], "zoom": [0.95, 1.2], "shear_x": [-6, 6], "x": [-0.04, 0.04], "y": [-0.04, 0.04]}),
        Step("random_crop", 0.6, {"area": [0.65, 1.0]}),
        Step("colour_jitter", 0.9, {"brightness": [-0.12, 0.12], "contrast": [0.8, 1.25], "saturation": [0.7, 1.3], "hue": [-8, 8]}),
        Step("grayscale", 0.1),
        Step(
            "one_of",
            0.35,
            {},
            (
                Step("gaussian_blur", 1.0, {"sigma": [0.5, 1.8]}),
                Step("motion_blur", 0.5, {"length": [3, 9]}),
                Step("gaussian_noise", 1.0, {"sigma": [0.01, 0.05]}),
                Step("jpeg_quality", 0.5, {"quality": [40, 80]}),
            ),
        ),
        Step("cutout", 0.25),
    ),
    fill=Fill(FillKind.MIRROR),
)
