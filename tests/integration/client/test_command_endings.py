"""How the command ends when a server is away or a person stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import grpc
from labelmesh.labeling.v1 import images_pb2

from tests.unit.client.server import Serve, refuse
from tests.unit.client.shelf import Shelf
from tests.unit.client.test_command import labelmesh


def test_what_is_wrong_is_said_in_one_sentence_without_a_traceback(serve: Serve, tmp_path: Path, free_port: int) -> None:
    def ended(_: object, context: grpc.ServicerContext) -> object:
        return refuse(context, grpc.StatusCode.UNAUTHENTICATED, "The session has ended.", reason="SESSION_ENDED")

    server = serve({"ProjectService.ListProjects": ended})
    for ran, part in (
        (labelmesh(server, "projects", "list"), "The session has ended. Sign in again with `labelmesh sign-in`"),
        (labelmesh(server, "projects", "list", LABELMESH_API_KEY=""), "You are not signed in"),
        (labelmesh("ftp://x", "projects", "list"), "begins with “ftp://”"),
        (labelmesh(server, "import", "folder", str(tmp_path / "none")), "The folder"),
        (labelmesh(server, "import", "folder", str(tmp_path)), "has no JPEG or PNG files"),
        (labelmesh(server, "stats", "--project", "x", "--api-key-file", "/nonexistent/key"), "cannot be read"),
        (
            labelmesh(f"http://127.0.0.1:{free_port}", "projects", "list"),
            f"No labelmesh answers at http://127.0.0.1:{free_port}: Connection refused.",
        ),
    ):
        assert ran.code == 1
        assert ran.err.startswith("labelmesh: ")
        assert part in ran.err
        assert "Traceback" not in ran.err


def test_ctrl_c_ends_an_import_at_once_says_how_far_it_is_and_the_same_command_goes_on(serve: Serve, tmp_path: Path) -> None:
    shelf, stuck, let_go = Shelf(), threading.Event(), threading.Event()

    def add(request: images_pb2.AddImagesRequest, context: grpc.ServicerContext) -> images_pb2.AddImagesResponse:
        if len(shelf.contents) >= 1000 and not let_go.is_set():
            stuck.set()
            let_go.wait(30)
        return shelf.add(request, context)

    server = serve({**shelf.behaviours(), "ImageService.AddImages": add})
    for number in range(3000):
        (tmp_path / f"{number:04}.png").write_bytes(b"content %d" % number)
    command = [
        sys.executable,
        "-m",
        "labelmesh_client",
        "import",
        "folder",
        str(tmp_path),
        "--project",
        "mine",
        "--classes",
        "a",
        "--workers",
        "1",
    ]
    environment = {**os.environ, "LABELMESH_ADDRESS": server.address, "LABELMESH_API_KEY": "lmk_test"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert stuck.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
    finally:
        let_go.set()
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "at least 1,000 of 3,000 images are in; the same command goes on from there" in err
    assert err.endswith("Stopped.\n")
    assert "Traceback" not in err
    again = labelmesh(server, "import", "folder", str(tmp_path), "--project", "mine")
    assert again.code == 0
    assert len(shelf.contents) == 3000
