"""What a run leaves beside the pictures: their labels as one COCO file, and the recipes that make each of them again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from labelmesh_client.augmenting.coco import Coco
from labelmesh_client.augmenting.journal import Journal, OutFolder, replace_if_other
from labelmesh_client.errors import ConfigurationError

Json = dict[str, Any]

ANNOTATIONS = "annotations.json"
RECIPES = "recipes.jsonl"


def write_results(out: OutFolder, journal: Journal, labels: Coco | None, seed: int) -> bool:
    """Writes both files from the journal, one result in memory at a time; ids count from 1 in the order of pictures and copies.

    Returns whether anything is other than before. Raises ConfigurationError where they cannot be written.
    """
    coco = _written(out.path(ANNOTATIONS), lambda file: _write_coco(file, journal, labels, seed))
    recipes = _written(out.path(RECIPES), lambda file: _write_recipes(file, journal, seed))
    return coco or recipes


def _written(path: Path, write: Callable[[BinaryIO], None]) -> bool:
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb", buffering=1 << 20) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        return replace_if_other(partial, path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None


def _results(journal: Journal) -> Iterator[Json]:
    return (entry for _, _, entry in journal.newest() if "file" in entry)


def _write_coco(file: BinaryIO, journal: Journal, labels: Coco | None, seed: int) -> None:
    """The file's own facts, then images, then annotations: the journal is read twice, and never held."""
    document = labels.document if labels is not None else {}
    file.write(b"{")
    for key in ("info", "licenses", "categories"):
        value = document.get(key, {"description": "Augmented by labelmesh."} if key == "info" else [])
        file.write(_json(key) + b":" + _json(value) + b",\n")
    file.write(b'"images":[')
    for number, entry in enumerate(_results(journal), 1):
        provenance = {"source_file": entry["source"], "copy": entry["copy"], "source_sha256": entry["source_sha256"]}
        if entry["copy"] is not None:
            provenance["seed"] = seed
        if "further" in entry:
            provenance["further"] = entry["further"]
        image = {"id": number, "file_name": entry["file"], "width": entry["width"], "height": entry["height"]}
        image |= labels.image_fields(entry["source"]) if labels is not None else {}
        image["labelmesh"] = provenance | {"sha256": entry["sha256"]}
        file.write((b",\n" if number > 1 else b"\n") + _json(image))
    file.write(b'],\n"annotations":[')
    count = 0
    for number, entry in enumerate(_results(journal), 1):
        for annotation in entry["annotations"]:
            count += 1
            numbered = {**annotation, "id": count, "image_id": number}
            file.write((b",\n" if count > 1 else b"\n") + _json(dict(sorted(numbered.items()))))
    file.write(b"]}\n")


def _write_recipes(file: BinaryIO, journal: Journal, seed: int) -> None:
    for entry in _results(journal):
        if "recipe" in entry:
            line = {"file": entry["file"], "source": entry["source"], "copy": entry["copy"], "seed": seed}
            line |= {"source_sha256": entry["source_sha256"], "sha256": entry["sha256"], "recipe": entry["recipe"]}
            if "further" in entry:
                line["further"] = entry["further"]
            file.write(_json(line) + b"\n")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
