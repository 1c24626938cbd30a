"""A model server in a process of its own, for tests of whatever calls one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh_local.ports import free_port

# TensorFlow's import takes 3 to 6 s here, and several of these may start at once on two cores.
START_S = 60.0


class ModelServerProcess:
    """`python -m labelmesh_modelserver` on a free port of 127.0.0.1. Its log goes to a file beside what it serves.

        with ModelServerProcess(tmp_path / "log", f"--model_config_file={config}") as server:
            channel = grpc.insecure_channel(server.target)

    Started with retries and polling that suit tests; later flags win.
    """

    def __init__(self, log: Path, *flags: str, port: int | None = None, start_s: float = START_S, wait: bool = True) -> None:
        self.port = port or free_port()
        self.target = f"127.0.0.1:{self.port}"
        self.log = log
        command = [
            *(sys.executable, "-m", "labelmesh_modelserver", f"--port={self.port}", "--max_num_load_retries=0"),
            *("--file_system_poll_wait_seconds=0.2", "--model_config_file_poll_wait_seconds=0.2", *flags),
        ]
        with log.open("ab") as opened:
            self.process = subprocess.Popen(
                command,
                stdout=opened,
                stderr=opened,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
            )
        if wait:
            self.wait_until_ready(start_s)

    def wait_until_ready(self, timeout_s: float = START_S) -> None:
        """Returns when its port is open, which it is when its models are loaded; AssertionError with its log otherwise."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            assert self.process.poll() is None, f"the model server ended by itself ({self.process.returncode}):\n{self.read_log()}"
            assert time.monotonic() < deadline, f"the model server is not ready after {timeout_s} s:\n{self.read_log()}"
            time.sleep(0.1)

    def is_ready(self) -> bool:
        """Whether it answers a health check."""
        with grpc.insecure_channel(self.target) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.RpcError:
                return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def read_log(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal: SIGSTOP makes it hang, SIGCONT goes on."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as a crash does."""
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, then waits; its exit status."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the model server did not stop in {timeout_s} s:\n{self.read_log()}") from None

    def __enter__(self) -> ModelServerProcess:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.kill()


def models_config(repository: Path, models: Sequence[str], policy: str = "all {}") -> str:
    """The text of a ModelServerConfig that serves these models of a repository."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "{repository / name}" model_platform: "tensorflow" model_version_policy {{ {policy} }} }}\n'
        for name in models
    )
    return f"model_config_list {{\n{entries}}}\n"
