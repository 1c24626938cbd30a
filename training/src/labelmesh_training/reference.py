"""Handwritten digits that come with their labels: those of scikit-learn, and MNIST where somebody has its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from labelmesh_client.sources.digits import digits
from labelmesh_client.sources.mnist import read_split

from labelmesh_training.examples import Example, Origin
from labelmesh_training.preparation import prepare


def bundled_digits() -> Iterator[Example]:
    """The 1,797 digits of scikit-learn, as the files that `labelmesh demo digits` imports: to a project that has them nothing new."""
    for digit in digits():
        yield _example(digit.png, digit.target)


def mnist_digits(folder: Path) -> Iterator[Example]:
    """The training part of MNIST from its IDX files. Raises SourceError for missing and damaged files, and for labels above 9."""
    split = read_split(folder, "train", with_labels=True)
    for file, label in zip(split.files(), split.labels, strict=True):
        yield _example(file.read(), label)


def _example(png: bytes, label: int) -> Example:
    return Example(hashlib.sha256(png).hexdigest(), label, prepare(png), Origin.REFERENCE, png)
