"""Labels in COCO's JSON: read as a whole, found for each picture, and put together again from what came of them.

Boxes are [x, y, width, height] and outlines [x, y, x, y, ...] in continuous pixels; keypoints are pixel indices (x, y, visibility: 0 not
labeled, 1 hidden, 2 visible), so half a pixel is added on the way in and taken off on the way out (COCO data format).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from labelmesh_client.augmenting.annotations import Context, Json, Returned, box_of, pixels_of_rle, rings_of, triples_of
from labelmesh_client.augmenting.masks import in_layers, write_grey
from labelmesh_client.errors import SourceError
from labelmesh_client.picturelabels import BoxLabel, KeypointLabel, MaskLabel, PictureLabels, PolygonLabel, Visibility

_CANDIDATES = ("annotations.json", "_annotations.coco.json", "instances*.json", "person_keypoints*.json", "coco.json")
#: Where data sets keep the file, relative to the folder of pictures.
_PLACES = (".", "annotations")
#: What is true of the original alone.
_LOST_FIELDS = frozenset({"id", "file_name", "width", "height", "coco_url", "flickr_url", "labelmesh"})
_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("l", "r"), ("L", "R"))


@dataclass
class Coco:
    """A COCO file and which picture of the folder each of its images is."""

    path: Path
    document: Json
    categories: dict[int, Json]
    #: By the picture's name in the folder.
    images: dict[str, Json]
    annotations: dict[int, list[Json]]
    #: File names of images that the folder does not have, and of those that fit several of its pictures.
    missing: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    #: Annotations that say nothing about where something is.
    unusable: int = 0

    def __post_init__(self) -> None:
        self._names = {number: str(one.get("name", "")) for number, one in self.categories.items()}
        self._keypoints = {number: [str(name) for name in one.get("keypoints") or ()] for number, one in self.categories.items()}

    def of(self, name: str) -> Sequence[Json]:
        """The annotations of a picture."""
        image = self.images.get(name)
        return () if image is None else self.annotations.get(image["id"], ())

    def size_of(self, name: str) -> tuple[int, int] | None:
        """Width and height that the file gives for a picture."""
        image = self.images.get(name, {})
        width, height = image.get("width"), image.get("height")
        return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0 else None

    def digest_of(self, name: str) -> str:
        """Changes with anything that this file says about a picture."""
        image, annotations = self.images.get(name), self.of(name)
        if image is None:
            return ""
        categories = [self.categories.get(number) for number in sorted({one["category_id"] for one in annotations})]
        text = json.dumps([image, annotations, categories], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]

    # --- on the way in ---

    def labels_of(self, name: str, prefix: str = "") -> tuple[PictureLabels, Context]:
        """The labels of a picture, ids beginning with `prefix`. Raises SourceError (LABEL_INVALID) for masks that cannot be read."""
        annotations = self.of(name)
        boxes: list[BoxLabel] = []
        polygons: list[PolygonLabel] = []
        keypoints: list[KeypointLabel] = []
        masks: list[tuple[int, bytes]] = []
        size: tuple[int, int] | None = None
        for number, one in enumerate(annotations):
            label = self._names.get(one["category_id"], "")
            rings, box = rings_of(one), box_of(one)
            if isinstance(one.get("segmentation"), Mapping):
                width, height, pixels = pixels_of_rle(one["segmentation"])
                if size not in (None, (width, height)):
                    raise SourceError("The masks of the picture have several sizes.", reason="LABEL_INVALID")
                size = (width, height)
                masks.append((number, pixels))
            elif rings:
                polygons.append(PolygonLabel(rings, label, f"{prefix}{number}"))
            elif box is not None:
                boxes.append(BoxLabel(*box, label, f"{prefix}{number}"))
            keypoints += self._keypoints_of(one, f"{prefix}{number}")
        layers = in_layers(masks)
        files = [MaskLabel(write_grey(*size, layer.pixels), id=f"{prefix}m{n}") for n, layer in enumerate(layers)] if size else []
        labels = PictureLabels(tuple(boxes), tuple(polygons), tuple(keypoints), tuple(files))
        return labels, Context(annotations, tuple(layer.members for layer in layers), name)

    def _keypoints_of(self, annotation: Json, number: str) -> Iterator[KeypointLabel]:
        names = self._keypoints.get(annotation["category_id"], [])
        for place, (x, y, visibility) in enumerate(triples_of(annotation)):
            if visibility:
                seen = Visibility.HIDDEN if visibility == 1 else Visibility.VISIBLE
                name = names[place] if place < len(names) else ""
                yield KeypointLabel(x + 0.5, y + 0.5, name, f"{number}.{place}", seen)

    # --- on the way out ---

    def results(self, labels: PictureLabels, contexts: Mapping[str, Context], size: tuple[int, int]) -> list[Json]:
        """The annotations of a result of `size`, without ids; `contexts` by the prefix of ids. Raises ServerError for ids it never sent."""
        return Returned(self._names, self._keypoints, contexts, size).annotations(labels)

    def image_fields(self, name: str) -> Json:
        """What an image of the file says beside its name and size, e.g. its license."""
        return {key: value for key, value in self.images.get(name, {}).items() if key not in _LOST_FIELDS}

    def mirror_pairs(self) -> list[tuple[str, str]]:
        """Names of keypoints that are the left and the right of the same thing."""
        return sorted({pair for names in self._keypoints.values() for pair in pairs_of(names)})


# --- finding and reading ---


def find_candidates(folder: Path) -> list[Path]:
    """Files in or beside a folder's pictures that are named as COCO labels usually are, by name."""
    found = {path for place in _PLACES for pattern in _CANDIDATES for path in (folder / place).glob(pattern) if path.is_file()}
    return sorted(found)


def read_coco(path: Path, folder: Path, names: Iterable[str]) -> Coco:
    """A COCO file as a whole, for the pictures of a folder by their names below it. Raises SourceError."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.", reason="UNREADABLE") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON: {error}.", reason="LABELS_INVALID") from None
    images, annotations, categories = (_listed(document, name, path) for name in ("images", "annotations", "categories"))
    by_id: dict[int, Json] = {}
    for place, image in enumerate(images):
        if not isinstance(image.get("id"), int) or not isinstance(image.get("file_name"), str) or image["id"] in by_id:
            raise SourceError(f"{path}: images[{place}] needs an id of its own and a file_name.", reason="LABELS_INVALID")
        by_id[image["id"]] = image
    known = {one["id"]: one for one in categories if isinstance(one.get("id"), int)}
    grouped: dict[int, list[Json]] = {}
    unusable = 0
    for place, one in enumerate(annotations):
        if one.get("image_id") not in by_id or one.get("category_id") not in known:
            what = "image_id is" if one.get("image_id") not in by_id else "category_id is"
            raise SourceError(f"{path}: annotations[{place}].{what} not in the file.", reason="LABELS_INVALID")
        if not _says_where(one):
            unusable += 1
            continue
        grouped.setdefault(one["image_id"], []).append(one)
    coco = Coco(path, document, known, {}, grouped, unusable=unusable)
    _match(coco, by_id.values(), folder, names)
    coco.document = {key: document[key] for key in ("info", "licenses", "categories") if key in document}
    return coco


def _listed(document: Any, name: str, path: Path) -> list[Json]:
    found = document.get(name, []) if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found) or (name == "images" and name not in document):
        raise SourceError(f"{path} is no COCO file: it needs a list of {name}.", reason="LABELS_INVALID")
    return found


def _match(coco: Coco, images: Iterable[Json], folder: Path, names: Iterable[str]) -> None:
    """By the path below the folder or below the file's own folder; else by the name alone, where it is the only one."""
    there = set(names)
    by_base: dict[str, list[str]] = {}
    for name in there:
        by_base.setdefault(PurePosixPath(name).name, []).append(name)
    try:
        beside = PurePosixPath(coco.path.resolve().parent.relative_to(folder.resolve()).as_posix())
    except ValueError:
        beside = PurePosixPath(".")
    for image in images:
        given = image["file_name"].replace("\\", "/")
        exact = next((one for one in (str(PurePosixPath(given)), str(beside / given)) if one in there), None)
        alike = by_base.get(PurePosixPath(given).name, [])
        if exact is None and len(alike) > 1:
            coco.ambiguous.append(given)
        elif exact is None and not alike:
            coco.missing.append(given)
        elif (name := exact or alike[0]) in coco.images:
            coco.ambiguous.append(given)
        else:
            coco.images[name] = image


def _says_where(annotation: Json) -> bool:
    seen = any(visibility for _, _, visibility in triples_of(annotation))
    return bool(isinstance(annotation.get("segmentation"), Mapping) or rings_of(annotation) or box_of(annotation) or seen)


def pairs_of(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs like left_eye and right_eye, r-ear and l-ear, eyeLeft and eyeRight; each with the left one first, in the order of the names."""
    given = list(dict.fromkeys(names))
    pairs = []
    for name in given:
        for left, right in _SIDES:
            for other in _other_sides(name, left, right):
                if other in given and (name, other) not in pairs:
                    pairs.append((name, other))
    return pairs


def _other_sides(name: str, left: str, right: str) -> Iterator[str]:
    """The names that this one has on the other side; single letters only where a sign sets them apart."""
    signs = ("_", "-", " ", ".") if len(left) == 1 else ("_", "-", " ", ".", "")
    for sign in signs:
        if name.startswith(left + sign) and name != left:
            yield right + name.removeprefix(left)
        if name.endswith(sign + left) and name != left:
            yield name.removesuffix(left) + right
    if name == left:
        yield right


def count_labels(coco: Coco) -> Counter[str]:
    """How many annotations there are of each kind, for people."""
    counts: Counter[str] = Counter()
    for image in coco.images.values():
        for one in coco.annotations.get(image["id"], ()):
            segmentation = one.get("segmentation")
            counts[
                "masks" if isinstance(segmentation, Mapping) else "outlines" if rings_of(one) else "boxes" if box_of(one) else "bodies"
            ] += 1
    return counts
