"""Takes out of the image of augment what OpenCV's wheel brings and augmentation never calls: FFmpeg, OpenBLAS, the encoder of AVIF.

OpenCV is one library that is linked to all of them: together 85 MB, with an OpenSSL of their own. The linker asks only whether they are
there and have the names that are asked for. In the place of each comes a library of the same name whose every function is one instruction
that ends the process, so a call that should not be shows at once; what only they needed goes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from elf import (
    DT_HASH,
    DT_SONAME,
    DT_STRSZ,
    DT_STRTAB,
    DT_SYMENT,
    DT_SYMTAB,
    DT_VERDEF,
    DT_VERDEFNUM,
    DT_VERSYM,
    PT_DYNAMIC,
    PT_GNU_STACK,
    PT_LOAD,
    NotElf,
    SharedLibrary,
    Symbol,
)

FOLDER = "opencv_python_headless.libs"
# Video, which augmentation has none of; linear algebra beyond what the few functions of `cv2` that are used need; AVIF, which is refused
# by its first bytes before a decoder sees it. libavif itself stays: OpenCV asks it about every file.
UNUSED = ("libavcodec", "libavformat", "libavutil", "libswscale", "libopenblas", "libaom")

_PAGE = 0x1000
_TRAP = {62: b"\x0f\x0b" + bytes(6), 183: b"\x00\x00\x20\xd4" + bytes(4)}
"""An instruction that no program survives, by machine: UD2 on x86-64, BRK on AArch64."""


def empty_unused(site: Path) -> None:
    """Hollows the libraries that are not used and removes those that nobody needs any more."""
    folder = site / FOLDER
    users = [SharedLibrary(path) for path in (*(site / "cv2").glob("*.so"), *folder.iterdir())]
    taken = set().union(*(user.taken for user in users))
    for path in folder.iterdir():
        if path.name.startswith(UNUSED):
            library = SharedLibrary(path)
            path.write_bytes(
                hollow(library, sorted((one for one in library.given if one.name in taken), key=lambda one: (one.name, one.version)))
            )
    for path in unreachable(site, folder):
        path.unlink()


def unreachable(site: Path, folder: Path) -> list[Path]:
    """The libraries in `folder` that nothing in `site` loads."""
    there = {path.name: path for path in folder.iterdir()}
    reached: set[str] = set()
    waiting = [name for path in (site / "cv2").rglob("*.so") for name in needed_by(path)]
    while waiting:
        name = waiting.pop()
        if name in there and name not in reached:
            reached.add(name)
            waiting += needed_by(there[name])
    return [path for name, path in there.items() if name not in reached]


def needed_by(path: Path) -> list[str]:
    try:
        return SharedLibrary(path).needed
    except NotElf:
        return []


def hollow(library: SharedLibrary, symbols: Sequence[Symbol]) -> bytes:
    """A shared library of the same name and machine that gives `symbols`, each of them the trap."""
    strings, offsets = _strings([library.soname, *library.versions.values(), *(one.name for one in symbols)])
    numbers = {name: index for index, name in library.versions.items()}
    versions = struct.pack("<H", 0) + b"".join(struct.pack("<H", numbers.get(one.version, 1)) for one in symbols)
    headers = 64 + 4 * 56
    trap_at = headers
    table = bytes(24) + b"".join(struct.pack("<IBBHQQ", offsets[one.name], 0x12, 0, 1, trap_at, 8) for one in symbols)
    hashes = _hash_table([one.name for one in symbols])
    definitions = _definitions(library.versions, offsets)
    body, places = bytearray(_TRAP[library.machine]), {}
    for tag, part in ((DT_SYMTAB, table), (DT_STRTAB, strings), (DT_HASH, hashes), (DT_VERSYM, versions), (DT_VERDEF, definitions)):
        body += bytes(-len(body) % 8)
        places[tag] = headers + len(body)
        body += part
    dynamic = [(DT_SONAME, offsets[library.soname]), (DT_STRSZ, len(strings)), (DT_SYMENT, 24)]
    dynamic += [(tag, place) for tag, place in places.items() if definitions or tag not in (DT_VERSYM, DT_VERDEF)]
    dynamic += [(DT_VERDEFNUM, len(library.versions))] if definitions else []
    ending = b"".join(struct.pack("<QQ", tag, value) for tag, value in [*dynamic, (0, 0)])
    start = -(-(headers + len(body)) // _PAGE) * _PAGE
    read_execute, read_write = 5, 6
    segments = struct.pack("<IIQQQQQQ", PT_LOAD, read_execute, 0, 0, 0, headers + len(body), headers + len(body), _PAGE)
    segments += struct.pack("<IIQQQQQQ", PT_LOAD, read_write, start, start, start, len(ending), len(ending), _PAGE)
    segments += struct.pack("<IIQQQQQQ", PT_DYNAMIC, read_write, start, start, start, len(ending), len(ending), 8)
    # Without this one the loader would have to make the stack executable.
    segments += struct.pack("<IIQQQQQQ", PT_GNU_STACK, read_write, 0, 0, 0, 0, 0, 16)
    shared_object = 3
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", shared_object, library.machine, 1, 0, 64, 0, 0, 64, 56, 4, 64, 0, 0)
    return (head + segments + bytes(body)).ljust(start, b"\0") + ending


def _strings(names: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    table, offsets = bytearray(b"\0"), {}
    for name in names:
        if name not in offsets:
            offsets[name] = len(table)
            table += name.encode() + b"\0"
    return bytes(table), offsets


def _hash_table(names: Sequence[str]) -> bytes:
    """DT_HASH: as many buckets as names."""
    count = max(1, len(names))
    buckets, chains = [0] * count, [0] * (len(names) + 1)
    for index, name in enumerate(names, start=1):
        bucket = elf_hash(name) % count
        chains[index], buckets[bucket] = buckets[bucket], index
    return struct.pack(f"<II{count}I{len(chains)}I", count, len(chains), *buckets, *chains)


def elf_hash(name: str) -> int:
    """The hash of the System V ABI."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value


def _definitions(versions: dict[int, str], offsets: dict[str, int]) -> bytes:
    """DT_VERDEF: one definition after another, each with its own name alone."""
    parts = []
    for position, (index, name) in enumerate(sorted(versions.items())):
        following = 28 if position + 1 < len(versions) else 0
        parts.append(
            struct.pack("<HHHHIII", 1, 1 if index == 1 else 0, index, 1, elf_hash(name), 20, following)
            + struct.pack("<II", offsets[name], 0)
        )
    return b"".join(parts)
