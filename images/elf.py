"""As much of ELF (System V ABI, chapters 4 and 5; LSB for symbol versions) as is needed to read what a shared library takes and gives."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

PT_LOAD, PT_DYNAMIC, PT_GNU_STACK = 1, 2, 0x6474E551
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 1, 4, 5, 6, 10, 11, 14
DT_GNU_HASH, DT_VERSYM, DT_VERDEF, DT_VERDEFNUM = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD
SHT_DYNSYM = 11


class NotElf(ValueError):
    """The file is no 64-bit little-endian ELF file."""


@dataclass(frozen=True)
class Symbol:
    """A name that a library gives or takes, and the version under which it gives it ("" where it has none)."""

    name: str
    version: str


class SharedLibrary:
    """A shared library's dynamic section."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        if self._data[:6] != b"\x7fELF\x02\x01":
            raise NotElf(str(path))
        self.machine: int = struct.unpack_from("<H", self._data, 18)[0]
        self._segments = self._read_segments()
        self._dynamic = self._read_dynamic()

    def _read_segments(self) -> list[tuple[int, int, int, int]]:
        offset, size, count = struct.unpack_from("<Q", self._data, 32)[0], *struct.unpack_from("<HH", self._data, 54)
        rows = [struct.unpack_from("<IIQQQQ", self._data, offset + index * size) for index in range(count)]
        return [(row[0], row[2], row[3], row[5]) for row in rows]

    def _read_dynamic(self) -> list[tuple[int, int]]:
        offset, size = next(((at, length) for kind, at, _, length in self._segments if kind == PT_DYNAMIC), (0, 0))
        pairs = [struct.unpack_from("<qQ", self._data, offset + index) for index in range(0, size, 16)]
        return [(tag & 0xFFFFFFFFFFFFFFFF, value) for tag, value in pairs if tag]

    def _value(self, tag: int) -> int | None:
        return next((value for known, value in self._dynamic if known == tag), None)

    def _at(self, tag: int) -> int | None:
        """Where in the file the table lies that the tag points at."""
        address = self._value(tag)
        if address is None:
            return None
        return next(
            (address - start + at for kind, at, start, length in self._segments if kind == PT_LOAD and start <= address < start + length)
        )

    def _text(self, index: int) -> str:
        start = (self._at(DT_STRTAB) or 0) + index
        return self._data[start : self._data.index(b"\0", start)].decode()

    @property
    def needed(self) -> list[str]:
        """The libraries that are loaded with it."""
        return [self._text(value) for tag, value in self._dynamic if tag == DT_NEEDED]

    @property
    def soname(self) -> str:
        value = self._value(DT_SONAME)
        return self._text(value) if value is not None else ""

    def _symbol_count(self) -> int:
        offset, size, count = struct.unpack_from("<Q", self._data, 40)[0], *struct.unpack_from("<HH", self._data, 58)
        for index in range(count):
            section = struct.unpack_from("<IIQQQQIIQQ", self._data, offset + index * size)
            if section[1] == SHT_DYNSYM:
                return int(section[5] // section[9])
        return 0

    def _symbols(self) -> list[tuple[str, bool, int]]:
        """Name, whether it is defined here, index of its version."""
        table, versions = self._at(DT_SYMTAB) or 0, self._at(DT_VERSYM)
        found = []
        for index in range(1, self._symbol_count()):
            name, _, _, section = struct.unpack_from("<IBBH", self._data, table + 24 * index)
            version = struct.unpack_from("<H", self._data, versions + 2 * index)[0] if versions is not None else 1
            found.append((self._text(name), section != 0, version & 0x7FFF))
        return found

    @property
    def taken(self) -> set[str]:
        """The names that others have to give."""
        return {name for name, defined, _ in self._symbols() if not defined}

    @property
    def versions(self) -> dict[int, str]:
        """The versions that it defines; the first is the library's own name."""
        at, found = self._at(DT_VERDEF), {}
        for _ in range(self._value(DT_VERDEFNUM) or 0):
            assert at is not None
            index, _, _, first, following = struct.unpack_from("<HHIII", self._data, at + 4)
            found[index] = self._text(struct.unpack_from("<I", self._data, at + first)[0])
            at += following
        return found

    @property
    def given(self) -> set[Symbol]:
        """The names that it has for others."""
        versions = self.versions
        return {Symbol(name, versions.get(index, "") if index > 1 else "") for name, defined, index in self._symbols() if defined}
