"""A library in the place of another: the loader takes it, its names are there, and no program survives a call of them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import hollow
import pytest
from elf import SharedLibrary, Symbol


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenCV as its wheel has it, in a folder of its own, with what is not used taken out."""
    spec = importlib.util.find_spec("cv2")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent.parent
    copy = tmp_path_factory.mktemp("site")
    shutil.copytree(installed / "cv2", copy / "cv2")
    shutil.copytree(installed / hollow.FOLDER, copy / hollow.FOLDER)
    hollow.empty_unused(copy)
    return copy


def run(site: Path, program: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import cv2, numpy; {program}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_little_is_left(site: Path) -> None:
    left = {path.name.partition("-")[0]: path.stat().st_size for path in (site / hollow.FOLDER).iterdir()}

    assert set(left) == {"libpng16", "libavif", "libavcodec", "libavformat", "libavutil", "libswscale", "libaom", "libopenblasp"}
    assert all(size < 50_000 for name, size in left.items() if name not in ("libpng16", "libavif"))


def test_pictures_are_still_read_and_written(site: Path) -> None:
    done = run(site, "print([cv2.imdecode(cv2.imencode(e, numpy.zeros((9, 8, 3), 'u1'))[1], 1).shape for e in ('.png', '.jpg', '.webp')])")

    assert done.stdout.strip() == str([(9, 8, 3)] * 3), done.stderr


def test_what_was_taken_out_ends_the_process(site: Path) -> None:
    assert run(site, "cv2.solve(numpy.eye(200), numpy.ones((200, 1)))").returncode in (-4, -5)


def test_a_hollow_library_gives_the_same_names_under_the_same_versions(site: Path) -> None:
    library = next((site / hollow.FOLDER).glob("libavcodec*"))
    spec = importlib.util.find_spec("cv2")
    assert spec is not None
    assert spec.origin is not None
    real = SharedLibrary(Path(spec.origin).parent.parent / hollow.FOLDER / library.name)
    taken = {Symbol("avcodec_send_packet", "LIBAVCODEC_62"), Symbol("avcodec_free_context", "LIBAVCODEC_62")}

    assert taken <= real.given
    made = hollow.hollow(real, sorted(taken, key=lambda one: one.name))
    assert b"avcodec_send_packet\0" in made
    assert b"LIBAVCODEC_62\0" in made
    assert SharedLibrary(library).soname == real.soname
