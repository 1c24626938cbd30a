"""The models that predictions are measured with: their names and manifests."""

from __future__ import annotations

DIGITS, PHOTO, JPEG = "bench-digits", "bench-photo", "bench-jpeg"
MANIFESTS = {
    DIGITS: """\
model: bench-digits
input: {kind: INPUT_KIND_PIXELS, width: 28, height: 28, color: COLOR_MODE_GRAY, scale: 0.00392156862745098}
classes: {}
labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
batching: {max_batch_size: 256}
""",
    PHOTO: """\
model: bench-photo
input: {kind: INPUT_KIND_PIXELS, width: 224, height: 224, color: COLOR_MODE_RGB}
classes: {}
""",
    JPEG: """\
model: bench-jpeg
input: {kind: INPUT_KIND_ENCODED}
classes: {}
""",
}
