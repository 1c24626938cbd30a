"""What the recipe of the images does in its build stage; `python3 images/make.py STEP ...`. Needs the standard library and pip alone.

Steps: `tools` (what builds our wheels), `wheels` (our distributions), `base` (the parts of the base image that a Python program needs),
``parts` (the packages of one image, its own code and its bill of materials), `page` (the web page).
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hollow
import sbom
import system

HERE = Path(__file__).resolve().parent
HOUSE = HERE.parent
TOOLS = Path("/tools")
WHEELS = Path("/wheels")
PACKAGES = Path("/packages/wheels")
"""Where wheels are taken from instead of the package index, when they are mounted there."""
NPM_PACKAGES = Path("/packages/npm")
"""The same for npm: a cache of it."""
PLACE = Path("/opt/labelmesh")

_SERVICES = ("chassis", "auth", "labeling", "inference", "augment", "modelserver")
DISTRIBUTIONS = ("protos", *(f"services/{name}" for name in _SERVICES), "client", "training", "gateway", "operations")

# What no program of ours opens at run time: tests, stubs for type checkers, sources and headers for compilers, static libraries.
USELESS_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".a", ".c", ".cc", ".cpp", ".h", ".hpp", ".f90", ".proto"})
USELESS_FOLDERS = frozenset({"tests", "testing_data", "__pycache__"})
USELESS_PATHS = (
    "numpy/_core/include",
    "numpy/_core/lib",
    "tensorflow/include",
    "tensorflow/python/integration_testing",
    "cv2/data/*.xml",  # faces and licence plates
    "cv2/gapi",
    "cv2/mat_wrapper",
    "Crypto/SelfTest",
    # TensorFlow asks for them and imports neither.
    "setuptools*",
    "_distutils_hack",
    "distutils-precedence.pth",
    "pkg_resources",
    "wheel",
    "wheel-*",
    "sqlalchemy/testing",
)


def pip(*arguments: str, python: Path | None = None) -> None:
    """Runs the base image's pip, on another environment if one is named; from the mounted wheels alone where there are any."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    command += ["--python", str(python)] if python is not None else []
    source = ["--no-index", f"--find-links={PACKAGES}"] if PACKAGES.is_dir() else []
    verb, *rest = arguments
    subprocess.run([*command, verb, *source, *rest], check=True)


def environment(place: Path) -> Path:
    """Makes a virtual environment without pip; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(place)], check=True)
    return place / "bin" / "python"


def site_of(place: Path) -> Path:
    return place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def install(python: Path, lock: Path) -> None:
    """Installs exactly what a lock says, by its hashes, and only wheels."""
    pip("install", "--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "-r", str(lock), python=python)


def tools() -> None:
    install(environment(TOOLS), HOUSE / "requirements" / "images" / "build.txt")


def wheels(names: Sequence[str]) -> None:
    """Builds our distributions as wheels; the contract's generated code comes to be here."""
    WHEELS.mkdir(exist_ok=True)
    scripts = os.environ | {"PATH": f"{TOOLS / 'bin'}:{os.environ['PATH']}"}
    for name in names:
        if (HOUSE / name / "pyproject.toml").exists():
            command = [str(TOOLS / "bin" / "python"), "-m", "hatchling", "build", "-t", "wheel", "-d", str(WHEELS)]
            subprocess.run(command, cwd=HOUSE / name, env=scripts, check=True, stdout=subprocess.DEVNULL)


def base(out: Path, optimize: int) -> None:
    """The base image's Python and the libraries it stands on, and nothing else: no shell, no package manager, no pip."""
    system.copy_python(out)
    system.write_accounts(out)
    compile_all(out / str(system.standard_library())[1:], optimize, stripped=out)


def parts(image: str, out: Path, optimize: int) -> None:
    """The packages of one image under /opt/labelmesh, and its bill of materials."""
    about = json.loads((HERE / "images.json").read_text())[image]
    python = environment(PLACE)
    install(python, HOUSE / "requirements" / "images" / f"{about.get('lock', image)}.txt")
    ours = [str(wheel) for name in own_distributions(about["distribution"]) for wheel in WHEELS.glob(f"{wheel_name(name)}-*.whl")]
    pip("install", "--no-deps", "--no-compile", *ours, python=python)
    site = site_of(PLACE)
    trim(site)
    if image == "augment":
        hollow.empty_unused(site)
    write_start(about["module"])
    shutil.copy(HERE / "probe.py", PLACE / "probe.py")
    for unused in ("activate", "activate.csh", "activate.fish", "Activate.ps1"):
        (PLACE / "bin" / unused).unlink(missing_ok=True)
    compile_all(PLACE, optimize)
    shutil.copytree(PLACE, out / str(PLACE)[1:], symlinks=True)
    share = out / "usr" / "share" / "labelmesh"
    share.mkdir(parents=True)
    shutil.copy(HOUSE / "LICENSE", share / "LICENSE")
    bill = sbom.bill(image, site, system.owners(), str(project(about["distribution"])["version"]))
    (share / "sbom.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")


def page() -> None:
    """The web page, from npm's packages as its lock pins them, and the contract that is installed here."""
    contract = next(WHEELS.glob("labelmesh_protos-*.whl"))
    pip("install", "--no-deps", str(contract), python=TOOLS / "bin" / "python")
    web = HOUSE / "web"
    npm = ["node", "/usr/local/lib/node_modules/npm/bin/npm-cli.js", "--no-audit", "--no-fund", "--no-update-notifier"]
    if NPM_PACKAGES.is_dir():
        shutil.copytree(NPM_PACKAGES, "/tmp/npm")
        npm += ["--offline", "--cache", "/tmp/npm"]
    path = {"PATH": f"{web}/node_modules/.bin:/usr/local/bin:/usr/bin:/bin", "PYTHON": str(TOOLS / "bin" / "python")}
    # Not `npm ci`: it refuses a lock that lacks native packages of other platforms, which not every registry carries.
    subprocess.run([*npm, "install", "--no-save", "--ignore-scripts"], cwd=web, env=os.environ | path, check=True)
    for step in (["node", "scripts/gen.mjs"], ["tsc", "--noEmit"], ["vite", "build"]):
        subprocess.run(step, cwd=web, env=os.environ | path, check=True)


def own_distributions(folder: str) -> list[str]:
    """The distributions of ours that one needs, itself included; folders in this house."""
    known = {project(name)["name"]: name for name in present()}
    found: list[str] = []
    waiting = [folder]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            needs = [requirement_name(text) for text in project(name)["dependencies"]]
            waiting += [known[need] for need in needs if need in known]
    return found


def present() -> list[str]:
    return [name for name in DISTRIBUTIONS if (HOUSE / name / "pyproject.toml").exists()]


def requirement_name(text: str) -> str:
    end = next((index for index, character in enumerate(text) if not (character.isalnum() or character in "-_.")), len(text))
    return text[:end].lower().replace("_", "-")


def project(folder: str) -> dict[str, Any]:
    """What a distribution of ours says of itself."""
    said: dict[str, Any] = tomllib.loads((HOUSE / folder / "pyproject.toml").read_text())["project"]
    return said


def wheel_name(folder: str) -> str:
    return str(project(folder)["name"]).replace("-", "_")


def trim(site: Path) -> None:
    """Removes what is of no use at run time."""
    for pattern in USELESS_PATHS:
        for path in site.glob(pattern):
            remove(path)
    for path in [path for path in site.rglob("*") if path.is_dir() and path.name in USELESS_FOLDERS]:
        remove(path)
    for path in [path for path in site.rglob("*") if path.suffix in USELESS_SUFFIXES]:
        remove(path)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_start(module: str) -> None:
    """The program that the container runs: the module, as `python -m` would."""
    if not module:
        return
    start = PLACE / "bin" / "start"
    start.write_text(f'#!{PLACE}/bin/python\nimport runpy\n\nrunpy.run_module("{module}", run_name="__main__", alter_sys=True)\n')
    start.chmod(0o755)


def compile_all(folder: Path, optimize: int, stripped: Path | None = None) -> None:
    """Bytecode for everything, checked against nothing: the files of an image do not change."""
    done = compileall.compile_dir(
        folder,
        quiet=2,
        optimize=optimize,
        stripdir=str(stripped) if stripped else None,
        prependdir="/" if stripped else None,
        invalidation_mode=compileall.PycInvalidationMode.UNCHECKED_HASH if hasattr(compileall, "PycInvalidationMode") else None,
        workers=0,
    )
    if not done:
        print(f"note: some files under {folder} have no bytecode", file=sys.stderr)


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("tools")
    steps.add_parser("wheels")
    steps.add_parser("page")
    for name in ("base", "parts"):
        step = steps.add_parser(name)
        step.add_argument("--optimize", type=int, default=0)
        step.add_argument("--out", type=Path, required=True)
        if name == "parts":
            step.add_argument("image")
    told = parser.parse_args(list(arguments) if arguments is not None else None)
    if told.step == "tools":
        tools()
    elif told.step == "wheels":
        wheels(DISTRIBUTIONS)
    elif told.step == "page":
        page()
    elif told.step == "base":
        base(told.out, told.optimize)
    else:
        parts(told.image, told.out, told.optimize)


if __name__ == "__main__":
    print(f"Python {sysconfig.get_python_version()}", file=sys.stderr)
    main()
