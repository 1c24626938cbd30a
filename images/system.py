"""The least part of a Debian image that Python runs on: the interpreter, its standard library, shared libraries, certificates.

Which packages the files came from is kept as Debian keeps it (/var/lib/dpkg/status.d and the copyright files), so that scanners still see
what they have to look at.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

USER = 10001

# Parts of the standard library that no service imports: for installing, for windows on a screen, for its own tests.
_LEFT_OUT = frozenset({"ensurepip", "idlelib", "test", "tkinter", "turtledemo", "lib2to3", "pydoc_data", "site-packages", "dist-packages"})
_LEFT_OUT_FILES = re.compile(r"^(turtle\.py|_tkinter\..*|_test.*\.so|_xxtestfuzz.*|xx(limited|subtype).*)$")
_MORE_LIBRARIES = (
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libz.so.1",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libresolv.so.2",
)
"""What compiled packages may ask for beside what Python itself needs."""
_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/debian_version",
    "/usr/lib/os-release",
    "/etc/protocols",
    "/etc/services",
)


@dataclass(frozen=True)
class Package:
    """A Debian package of which files were taken."""

    name: str
    version: str
    architecture: str
    stanza: str


def standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib")).resolve()


def copy_python(out: Path) -> None:
    """Copies the running Python and everything it stands on from / to `out`, under the same paths."""
    for link, target in (("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")):
        (out / "usr" / target.removeprefix("usr/")).mkdir(parents=True, exist_ok=True)
        (out / link).symlink_to(target)
    program = Path(sys.executable).resolve()
    for path in {program, *aliases(program)}:
        copy(path, out)
    library = standard_library()
    shutil.copytree(library, out / str(library)[1:], ignore=_useless, symlinks=False)
    binaries = [program, *(out / str(library)[1:]).rglob("*.so"), *(path for name in _MORE_LIBRARIES for path in library_named(name))]
    taken = shared_libraries(binaries)
    for path in taken:
        copy(path, out)
    for name in _FILES:
        if Path(name).exists():
            copy(Path(name), out)
    _note_packages(out, packages_of([*taken, *([program] if owner_of(program) else []), Path("/etc/ssl/certs/ca-certificates.crt")]))
    (out / "tmp").mkdir(mode=0o1777)
    (out / "tmp").chmod(0o1777)


def aliases(program: Path) -> list[Path]:
    """The other names of the interpreter in its folder."""
    return [path for path in program.parent.glob("python*") if path.is_symlink() and path.resolve() == program]


def _useless(folder: str, names: list[str]) -> set[str]:
    # config-3.13-x86_64-linux-gnu holds a static library and what the interpreter was built with.
    return {
        name
        for name in names
        if name in _LEFT_OUT or name == "__pycache__" or name.startswith("config-") or _LEFT_OUT_FILES.match(name) or name.endswith(".a")
    }


def copy(path: Path, out: Path) -> None:
    """Copies a file or a link, and what the link leads to; through linked folders under its real place."""
    place = path.parent.resolve() / path.name
    target = out / str(place)[1:]
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        aim = os.readlink(place)
        target.symlink_to(aim)
        copy(place.parent / aim, out)
    else:
        shutil.copy2(place, target)


def library_named(name: str) -> list[Path]:
    found = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return [Path(line.rpartition("=>")[2].strip()) for line in found.splitlines() if line.strip().startswith(f"{name} ")][:1]


def shared_libraries(binaries: Iterable[Path]) -> set[Path]:
    """The libraries that the dynamic linker would load for them, itself included."""
    found: set[Path] = set()
    for binary in binaries:
        if str(binary).startswith(("/usr/lib", "/lib")) and ".so" in binary.name:
            found.add(binary)
        said = subprocess.run(["/usr/bin/ldd", str(binary)], capture_output=True, text=True, check=False).stdout
        for line in said.splitlines():
            match = re.search(r"(?:=> )?(/\S+) \(0x", line)
            if match:
                found.add(Path(match[1]))
    return found


@functools.cache
def _owners_by_path() -> dict[str, str]:
    owners: dict[str, str] = {}
    for listing in Path("/var/lib/dpkg/info").glob("*.list"):
        for line in listing.read_text().splitlines():
            owners[line] = listing.name.removesuffix(".list").partition(":")[0]
    return owners


def owner_of(path: Path) -> str | None:
    """The Debian package of a file; it may be listed under the path before /lib became a link."""
    real = path.resolve()
    names = (str(path), str(real), str(real).removeprefix("/usr"), str(path.parent.resolve() / path.name))
    return next((_owners_by_path()[name] for name in names if name in _owners_by_path()), None)


def packages_of(paths: Iterable[Path]) -> list[Package]:
    """The Debian packages of these files, and the certificates' one."""
    names = {name for path in paths if (name := owner_of(path)) is not None}
    names |= {"ca-certificates", "base-files"}
    stanzas = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    found = []
    for stanza in stanzas:
        fields = dict(re.findall(r"^(Package|Version|Architecture): (.*)$", stanza, re.MULTILINE))
        if fields.get("Package") in names and "installed" in stanza:
            found.append(Package(fields["Package"], fields["Version"], fields["Architecture"], stanza.strip() + "\n"))
    return sorted(found, key=lambda package: package.name)


def _note_packages(out: Path, packages: Iterable[Package]) -> None:
    notes = out / "var" / "lib" / "dpkg" / "status.d"
    notes.mkdir(parents=True)
    for package in packages:
        (notes / package.name).write_text(package.stanza)
        copyright_file = Path("/usr/share/doc") / package.name / "copyright"
        if copyright_file.exists():
            copy(copyright_file, out)


def owners() -> list[Package]:
    """The Debian packages that `copy_python` takes files of."""
    library = standard_library()
    binaries = [Path(sys.executable).resolve(), *library.rglob("*.so"), *(path for name in _MORE_LIBRARIES for path in library_named(name))]
    taken = shared_libraries(binaries)
    program = Path(sys.executable).resolve()
    return packages_of([*taken, *([program] if owner_of(program) else [])])


def write_accounts(out: Path) -> None:
    """The one account that the image has beside root, without a password and a shell."""
    (out / "etc").mkdir(exist_ok=True)
    (out / "etc" / "passwd").write_text(f"root:x:0:0:root:/root:/nonexistent\nlabelmesh:x:{USER}:{USER}:labelmesh:/tmp:/nonexistent\n")
    (out / "etc" / "group").write_text(f"root:x:0:\nlabelmesh:x:{USER}:\n")
