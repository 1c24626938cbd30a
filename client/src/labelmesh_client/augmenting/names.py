"""What results are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from labelmesh_client.augmenting.headers import ENDINGS
from labelmesh_client.errors import ConfigurationError

DEFAULT_PATTERN = "{stem}-{copy}"
#: In the place of a copy's number.
ORIGINAL = "original"
_FIELD = re.compile(r"\{(\w+)(?::0(\d))?\}")
_LONGEST = 200


class NamePattern:
    """`{stem}-{copy}`, `{copy:04}_{stem}`, `{stem}_{seed}_{copy}`: names without their ending, which follows from the content.

    Raises ConfigurationError for a pattern that would not name every copy of every picture differently.
    """

    def __init__(self, text: str, *, copies: int, seed: int) -> None:
        fields = [match[1] for match in _FIELD.finditer(text)]
        rest = _FIELD.sub("", text)
        if (
            any(name not in ("stem", "copy", "seed") for name in fields)
            or re.search(r'[{}/\\<>:"|?*\x00-\x1f]', rest)
            or len(text) > _LONGEST
        ):
            raise ConfigurationError(f"--name-pattern {text!r}: there are {{stem}}, {{copy}}, {{copy:03}} and {{seed}}, and no slashes.")
        if "stem" not in fields or ("copy" not in fields and copies > 1) or text.startswith("."):
            raise ConfigurationError(f"--name-pattern {text!r}: it needs {{stem}} and {{copy}}, and no dot at its beginning.")
        self.text = text
        self._seed = seed

    def name(self, stem: str, copy: int | None, ending: str) -> str:
        """`copy` None is for the picture itself."""

        def fill(match: re.Match[str]) -> str:
            if match[1] == "stem":
                return stem
            if match[1] == "seed":
                return str(self._seed)
            return ORIGINAL if copy is None else str(copy).rjust(int(match[2] or 0), "0")

        made = _FIELD.sub(fill, self.text)
        return (made if copy is not None or "copy" in self.text else f"{made}-{ORIGINAL}") + ending


class Stems:
    """The stem of each source by its place: its name without the ending, but with it where two of a folder are the same but for that."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._changed: dict[int, str] = {}
        for places in _by_folder(names):
            counts = Counter(PurePosixPath(names[place]).stem.casefold() for place in places)
            taken = {stem for stem, count in counts.items() if count == 1}
            for place in places:
                path = PurePosixPath(names[place])
                if counts[path.stem.casefold()] == 1:
                    continue
                stem = f"{path.stem}_{path.suffix.removeprefix('.')}"
                while stem.casefold() in taken:
                    stem += "_"
                taken.add(stem.casefold())
                self._changed[place] = stem

    def of(self, place: int) -> str:
        return self._changed.get(place) or PurePosixPath(self._names[place]).stem

    def check(self, pattern: NamePattern, copies: int, *, originals: bool) -> None:
        """Raises ConfigurationError where two results would have the same name, e.g. of `a` and `a1` by `{stem}{copy}`."""
        if pattern.text == DEFAULT_PATTERN:
            return  # what follows the last hyphen is the copy
        for places in _by_folder(self._names):
            seen: set[int] = set()
            for place in places:
                for copy in [*range(copies), *([None] if originals else [])]:
                    name = pattern.name(self.of(place), copy, "")
                    if (key := hash(name.casefold())) in seen:
                        raise ConfigurationError(
                            f"--name-pattern {pattern.text!r} gives two results the name {name}; put a hyphen between stem and copy."
                        )
                    seen.add(key)


def ending_of(name: str, media_type: str) -> str:
    """The ending of a result: that of the source where it fits the content, else the usual one."""
    suffix = PurePosixPath(name).suffix
    endings = ENDINGS.get(media_type, (".bin",))
    return suffix if suffix.lower() in endings else endings[0]


def _by_folder(names: Sequence[str]) -> Iterator[list[int]]:
    folders: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        folders.setdefault(name.rpartition("/")[0], []).append(place)
    yield from folders.values()
