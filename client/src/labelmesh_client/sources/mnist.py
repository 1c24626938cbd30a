"""MNIST: finding its four files in a folder, or fetching them where the network allows.

Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labelmesh_client.downloads import fetch
from labelmesh_client.errors import DownloadError, SourceError
from labelmesh_client.importing import ImageFile
from labelmesh_client.sources.idx import IdxImages, read_images, read_labels
from labelmesh_client.sources.png import grey_png

#: The published SHA-256 sums of the compressed files.
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
#: The largest of the four has 9,912,422 bytes.
_MAX_DOWNLOAD_BYTES = 12 * 1024 * 1024
_PREFIXES = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Split:
    """One part of the data set, `train` or `test`: its pictures, and their labels (0 to 255; empty when there is no file of them)."""

    name: str
    images: IdxImages
    labels: bytes

    def file_name(self, index: int) -> str:
        return f"mnist-{self.name}-{index:05}.png"

    def files(self, limit: int | None = None) -> Iterator[ImageFile]:
        """The pictures as PNG files with the very pixels of the data set: light ink on black."""
        images = self.images
        for index in range(images.count if limit is None else min(limit, images.count)):
            png = grey_png(images.columns, images.rows, images[index])
            yield ImageFile(self.file_name(index), len(png), _reader(png))


def _reader(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def read_split(folder: Path, name: str, *, with_labels: bool) -> Split:
    """Reads `train` or `test`. Raises SourceError for missing and damaged files, and when pictures and labels differ in number."""
    images_path = _find(folder, f"{_PREFIXES[name]}-images", "idx3")
    images = read_images(images_path)
    if not with_labels:
        return Split(name, images, b"")
    labels_path = _find(folder, f"{_PREFIXES[name]}-labels", "idx1")
    labels = read_labels(labels_path)
    if len(labels) != images.count:
        raise SourceError(f"{labels_path} has {len(labels):,} labels for the {images.count:,} pictures of {images_path}.")
    return Split(name, images, labels)


def _find(folder: Path, stem: str, kind: str) -> Path:
    names = [f"{stem}{separator}{kind}-ubyte{ending}" for separator in "-." for ending in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}; --download makes it and fetches the files.")
    raise SourceError(f"{folder} has no file {names[0]} or {names[1]}; --download fetches it.")


def download(folder: Path, splits: list[str], *, say: Callable[[str], None], mirrors: tuple[str, ...] = MIRRORS) -> None:
    """Fetches the files of these splits that the folder does not have, and keeps only what has the published checksum.

    Raises DownloadError with a sentence on how to get them otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in CHECKSUMS:
        if name.partition("-")[0] not in {_PREFIXES[split] for split in splits} or _has(folder, name):
            continue
        content = _fetch_from(mirrors, name, folder, say)
        partial = folder / f".{name}.{os.getpid()}.part"
        try:
            partial.write_bytes(content)
            partial.replace(folder / name)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SourceError(f"{folder / name} cannot be written: {error.strerror or error}.") from None


def _has(folder: Path, name: str) -> bool:
    plain = name.removesuffix(".gz")
    return any((folder / each).is_file() for each in (name, plain, plain.replace("-idx", ".idx"), name.replace("-idx", ".idx")))


def _fetch_from(mirrors: tuple[str, ...], name: str, folder: Path, say: Callable[[str], None]) -> bytes:
    problems: list[str] = []
    for mirror in mirrors:
        url = f"{mirror}/{name}"
        say(f"fetching {url}")
        try:
            content = fetch(url, max_bytes=_MAX_DOWNLOAD_BYTES, deadline_s=300.0, follow_redirects=True)
        except DownloadError as error:
            problems.append(str(error))
            continue
        if hashlib.sha256(content).hexdigest() == CHECKSUMS[name]:
            return content
        problems.append(f"{url} does not have the published checksum.")
    raise DownloadError(
        f"{name} could not be fetched. {' '.join(problems)} Fetch the four files {', '.join(CHECKSUMS)} on a machine that reaches "
        f"{' or '.join(mirrors)}, put them into {folder}, and run this again without --download."
    )
