"""The locks of the images: what each holds of other people's packages, and with which hashes.

`python images/locks.py` writes requirements/images/*.txt out of each distribution's own pyproject.toml, under the pins of
requirements/local.txt. Needs uv (`./mesh lock` calls it).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parent.parent
LOCKS = HOUSE / "requirements" / "images"
PYTHON = "3.13"
BUILD = "build"
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def name_of(requirement: str) -> str:
    """The distribution that a requirement asks for, in the usual spelling."""
    match = _NAME.match(requirement.strip())
    return match[0].lower().replace("_", "-").replace(".", "-") if match else ""


def projects() -> dict[str, dict[str, Any]]:
    """Our distributions: what their pyproject.toml says, by name."""
    found = {}
    folders = [
        *sorted((HOUSE / "services").iterdir()),
        *(HOUSE / name for name in ("protos", "client", "gateway", "operations", "training")),
    ]
    for folder in folders:
        if (folder / "pyproject.toml").exists():
            said = tomllib.loads((folder / "pyproject.toml").read_text())
            found[said["project"]["name"]] = said
    return found


def images() -> dict[str, dict[str, Any]]:
    """The images that are made of Python packages, and exist."""
    table = json.loads((HOUSE / "images" / "images.json").read_text())
    return {
        name: about for name, about in table.items() if "lock" not in about and (HOUSE / about["distribution"] / "pyproject.toml").exists()
    }


def requirements(distribution: str, extras: list[str] | None = None) -> list[str]:
    """What a distribution of ours and those of ours that it needs ask for, all of other people's."""
    ours = projects()
    seen: set[str] = set()
    wanted: set[str] = set()
    waiting = [distribution]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        project = ours[name]["project"]
        optional = project.get("optional-dependencies", {})
        for requirement in [*project["dependencies"], *(line for extra in extras or [] for line in optional.get(extra, []))]:
            if name_of(requirement) in ours:
                waiting.append(name_of(requirement))
            else:
                wanted.add(requirement)
    return sorted(wanted)


def build_requirements() -> list[str]:
    """What builds our wheels, hatchling and the contract's generator."""
    return sorted({requirement for said in projects().values() for requirement in said["build-system"]["requires"]})


def wanted() -> dict[str, list[str]]:
    """What goes into each lock."""
    ours = projects()
    names = {said["project"]["name"]: name for name, said in ours.items()}
    found = {BUILD: build_requirements()}
    for image, about in images().items():
        distribution = tomllib.loads((HOUSE / about["distribution"] / "pyproject.toml").read_text())["project"]["name"]
        found[image] = requirements(names[distribution], about.get("extras"))
    return found


def digest_line(lines: list[str]) -> str:
    """The first line of a lock: what it was made of, so that a test sees without a network whether it still is."""
    return "# of: " + " | ".join(lines)


def compile_lock(uv: Path, name: str, lines: list[str]) -> None:
    """Pins `lines`, and all they need, into the lock `name`."""
    target = LOCKS / f"{name}.txt"
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / f"{name}.in"
        asked.write_text("\n".join(lines) + "\n")
        command = [
            str(uv),
            "pip",
            "compile",
            "--universal",
            "--python-version",
            PYTHON,
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
        ]
        command += ["--quiet", "--overrides", "overrides.in", "-c", "local.txt", str(asked), "-o", str(Path(scratch) / "out.txt")]
        subprocess.run(command, cwd=HOUSE / "requirements", check=True)
        target.write_text(digest_line(lines) + "\n" + (Path(scratch) / "out.txt").read_text())


def main() -> int:
    """Writes all locks, or those that are named; removes those of images that are gone."""
    uv = Path(sys.executable).parent / "uv"
    LOCKS.mkdir(exist_ok=True)
    everything = wanted()
    for name, lines in everything.items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            compile_lock(uv, name, lines)
    for path in LOCKS.glob("*.txt"):
        if path.stem not in everything:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
