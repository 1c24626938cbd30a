"""systemd's unit files, read as systemd reads them where it matters here, and systemd's own tool to judge them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent.parent.parent
UNITS = HOUSE / "systemd"
INSTALLED = "/opt/labelmesh"


def settings(unit: Path) -> dict[str, dict[str, list[str]]]:
    """Section, name, values; an empty value forgets the ones before, as systemd does it."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line.strip() and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            section.setdefault(name, []).append(value)
    return found


def environment(unit: Path) -> dict[str, str]:
    """What Environment= lines say."""
    words = [word for line in settings(unit)["Service"].get("Environment", []) for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def command(unit: Path, values: dict[str, str]) -> list[str]:
    """ExecStart's words; `$NAME` alone is split at its blanks, as systemd does it."""
    (line,) = settings(unit)["Service"]["ExecStart"]
    words: list[str] = []
    for word in shlex.split(line):
        words += values[word[1:]].split() if word.startswith("$") else [word]
    return words


@cache
def analyze() -> tuple[str, dict[str, str]]:
    """systemd-analyze and the environment that it needs; from Debian's packages, unpacked, where the machine has none."""
    if found := shutil.which("systemd-analyze"):
        return found, dict(os.environ)
    root = HOUSE / ".labelmesh" / "systemd"
    program = root / "usr" / "bin" / "systemd-analyze"
    if not program.exists():
        unpack(root)
    libraries = ":".join(sorted({str(path.parent) for path in root.rglob("*.so*")}))
    return str(program), {**os.environ, "LD_LIBRARY_PATH": libraries}


def unpack(root: Path) -> None:
    """Debian's systemd without installing it. Fails where packages cannot be had."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("systemd", "libsystemd-shared", "libsystemd0"):
            done = subprocess.run(["apt-get", "download", name], cwd=scratch, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"systemd-analyze is missing (Debian, Ubuntu: apt install systemd). {done.stderr}"
        fresh = root.with_name(root.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        for package in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(fresh)], check=True, timeout=120)
    shutil.rmtree(root, ignore_errors=True)
    fresh.rename(root)
