"""`labelmesh model import-frozen-graph`."""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from labelmesh_client import ConfigurationError, SourceError
from labelmesh_client.command.arguments import Commands, add_command
from labelmesh_client.command.terminal import Terminal
from PIL import Image

from labelmesh_training.manifests import MEGADETECTOR_LABELS, detector_manifest
from labelmesh_training.warm_up import warm_up_record

_MODEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MAX_LABELS = 100_000
#: Of the picture in the warm-up calls, in pixels.
_WARM_UP_SIZE = (128, 96)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Adds `labelmesh model import-frozen-graph`."""
    parser = add_command(
        commands,
        "import-frozen-graph",
        "Turn a frozen graph of TensorFlow 1, e.g. MegaDetector 3 or 4, into a model that can be added.",
        import_frozen_graph,
        more="Writes a SavedModel with two signatures, one for pixels and one for JPEG or PNG files, and the manifest beside it. The mesh "
        "sends it files: a tenth of the traffic or less for photographs.",
        examples=(
            "labelmesh model import-frozen-graph md_v4.1.0.pb --name megadetector",
            "labelmesh model add megadetector",
        ),
    )
    parser.add_argument("graph", metavar="GRAPH", type=Path, help="the frozen graph, a .pb file")
    parser.add_argument("--name", metavar="NAME", required=True, help="the model's name in the mesh: a-z, 0-9, dot, dash, underscore")
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help=f"names of the classes from 1, one a line (default: {', '.join(MEGADETECTOR_LABELS)})",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="the folder to write, which must not be there yet (default: NAME)")


def import_frozen_graph(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if not _MODEL.fullmatch(arguments.name):
        raise ConfigurationError(f"{arguments.name!r} is no name of a model: use a-z, 0-9, dot, dash and underscore, at most 64.")
    labels = read_labels(arguments.labels) if arguments.labels is not None else MEGADETECTOR_LABELS
    folder = arguments.out or Path(arguments.name)
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already; say another folder with --out.")
    convert(arguments.graph, folder, arguments.name, labels)
    terminal.say(f"{folder} is a model that can be added: labelmesh model add {folder}")
    return 0


def convert(graph: Path, folder: Path, name: str, labels: tuple[str, ...]) -> None:
    """Writes the version folder; it appears whole or not at all. Raises SourceError for a graph that is no detector."""
    # TensorFlow takes seconds to import: only once it is clear that it is needed.
    from labelmesh_training.frozen_graph import FILES_SIGNATURE, IMAGES, PIXELS_SIGNATURE, read_detector, save_detector
    from labelmesh_training.version_folder import write_extras

    detector = read_detector(graph)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            save_detector(detector, workplace)
            width, height = _WARM_UP_SIZE
            pixels = np.zeros((detector.batch or 1, height, width, 3), np.uint8)
            records = (
                warm_up_record(name, FILES_SIGNATURE, {IMAGES: [_jpeg(pixels[0])]}),
                warm_up_record(name, PIXELS_SIGNATURE, {IMAGES: pixels}),
            )
            manifest = detector_manifest(name, FILES_SIGNATURE, labels=labels, counted=detector.counted)
            write_extras(workplace, manifest, records)
            workplace.chmod(0o755)
            os.rename(workplace, folder)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror or error}.") from None


def read_labels(path: Path) -> tuple[str, ...]:
    """Names, one a line. Raises SourceError for a file without any, with an empty line between, or with too long names."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SourceError(f"{path} cannot be read: {reason}.") from None
    names = tuple(line.strip() for line in lines)
    while names and not names[-1]:
        names = names[:-1]
    if not names or len(names) > _MAX_LABELS:
        raise SourceError(f"{path} has {len(names):,} names; there must be 1 to {_MAX_LABELS:,}.")
    for number, name in enumerate(names, 1):
        if not name or len(name) > 200:
            raise SourceError(f"{path}, line {number}: a name has 1 to 200 characters.")
    return names


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG")
    return file.getvalue()
