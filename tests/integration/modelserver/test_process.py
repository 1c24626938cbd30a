"""The server as a process: how it starts, how it is killed, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from labelmesh_modelserver.flags import cpu_count

from tests.integration.modelserver.house import AVAILABLE, END, Caller, Load, Repository
from tests.support.modelserver import ModelServerProcess


def _ends(*flags: str) -> tuple[int, str]:
    """How a server that cannot start ends: its status and its log."""
    done = subprocess.run([sys.executable, "-m", "labelmesh_modelserver", *flags], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_the_first_line_of_the_log_says_that_this_is_not_tensorflow_serving(repository: Repository, tmp_path: Path) -> None:
    repository.add("digits", 1)
    with ModelServerProcess(tmp_path / "log", f"--model_base_path={repository.root / 'digits'}", "--model_name=digits") as server:
        first = server.read_log().splitlines()[0]
        assert "It is not TensorFlow Serving." in first
        assert server.stop() == 0


def test_no_port_is_open_before_every_model_has_a_version_and_the_log_tells_what_is_missing(repository: Repository, tmp_path: Path) -> None:
    repository.add("digits", 1)
    (repository.root / "boxes").mkdir()
    repository.write_config("digits", "boxes")
    with ModelServerProcess(tmp_path / "log", f"--model_config_file={repository.config}", wait=False) as server:
        deadline = time.monotonic() + 60
        while "No versions of servable boxes found under base path" not in server.read_log():
            assert time.monotonic() < deadline, server.read_log()
            time.sleep(0.05)
        time.sleep(0.5)
        assert not server.is_ready()
        repository.add("boxes", 1)
        server.wait_until_ready()


@pytest.mark.parametrize("flags", [["--model_config_file=/nowhere/models.config"], []])
def test_a_server_that_cannot_start_says_why_and_ends(flags: list[str]) -> None:
    status, log = _ends(*flags)
    assert status == 255
    assert "Failed to start server. Error: " in log


def test_a_server_whose_only_version_is_broken_does_not_start(repository: Repository) -> None:
    def break_it(folder: Path) -> None:
        (folder / "saved_model.pb").write_bytes(b"broken")

    repository.add("digits", 1, change=break_it)
    status, log = _ends(f"--model_base_path={repository.root / 'digits'}", "--port=0", "--max_num_load_retries=0")
    assert status == 255
    assert "Failed to start server. Error: UNKNOWN: 1 model(s) did not become available: {{{name: default version: 1} due to error: " in log


def test_a_taken_port_is_told(repository: Repository, tmp_path: Path) -> None:
    repository.add("digits", 1)
    base = f"--model_base_path={repository.root / 'digits'}"
    with ModelServerProcess(tmp_path / "log", base) as server:
        status, log = _ends(base, f"--port={server.port}")
        assert status == 255
        assert "Failed to start server. Error: UNAVAILABLE: Failed to listen: " in log


def test_sigterm_lets_calls_in_flight_finish_and_takes_no_new_ones(repository: Repository, tmp_path: Path) -> None:
    repository.add("slow", 1)
    with ModelServerProcess(tmp_path / "log", f"--model_base_path={repository.root / 'slow'}", "--model_name=slow") as server:
        caller = Caller(server.target)
        answers: list[float] = []

        def call() -> None:
            _, outputs = caller.predict("slow", timeout_s=60, x=np.full(1, 7, np.float32), steps=np.asarray(2000, np.int32))
            answers.append(float(outputs["y"][0]))

        callers = [threading.Thread(target=call) for _ in range(2)]
        for thread in callers:
            thread.start()
        time.sleep(0.3)
        server.send(signal.SIGTERM)
        time.sleep(0.2)
        late = Caller(server.target)
        with pytest.raises(grpc.RpcError) as refused:
            late.predict("slow", timeout_s=5, x=np.ones(1, np.float32), steps=np.asarray(1, np.int32))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        for thread in callers:
            thread.join(timeout=60)
        assert answers == [7.0, 7.0]
        assert server.process.wait(timeout=20) == 0
        late.close()
        caller.close()


def test_slow_calls_hold_up_no_quick_one(repository: Repository, tmp_path: Path) -> None:
    """TensorFlow's own choice of threads lets as many slow calls as there are CPUs keep everyone else from computing."""
    repository.add("slow", 1)
    with ModelServerProcess(tmp_path / "log", f"--model_base_path={repository.root / 'slow'}", "--model_name=slow") as server:
        caller = Caller(server.target)

        def call(steps: int) -> None:
            caller.predict("slow", timeout_s=100, x=np.ones(1, np.float32), steps=np.asarray(steps, np.int32))

        call(1)
        threads = [threading.Thread(target=call, args=(4000,)) for _ in range(cpu_count())]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        began = time.monotonic()
        for _ in range(3):
            call(1)
        quick = time.monotonic() - began
        under_way = [thread.is_alive() for thread in threads]
        for thread in threads:
            thread.join(timeout=100)
        caller.close()
        assert all(under_way), f"three quick calls took {quick:.2f} s, as long as the slow ones"


def test_calls_that_outlast_the_drain_are_cut_off(repository: Repository, tmp_path: Path) -> None:
    repository.add("slow", 1)
    flags = (f"--model_base_path={repository.root / 'slow'}", "--model_name=slow", "--drain_seconds=0.3")
    with ModelServerProcess(tmp_path / "log", *flags) as server:
        caller = Caller(server.target)
        codes: list[grpc.StatusCode] = []

        def call() -> None:
            try:
                caller.predict("slow", timeout_s=60, x=np.ones(1, np.float32), steps=np.asarray(100_000, np.int32))
            except grpc.RpcError as problem:
                codes.append(problem.code())

        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        server.stop(timeout_s=20)
        assert time.monotonic() - began < 15
        thread.join(timeout=10)
        assert codes and codes[0] in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        caller.close()


def test_killed_while_it_loads_it_comes_back_with_what_is_whole(repository: Repository, tmp_path: Path) -> None:
    repository.add("digits", 1)
    repository.write_config("digits")
    flags = (f"--model_config_file={repository.config}",)
    port: int | None = None
    for moment in (0.0, 1.5, 3.0):
        with ModelServerProcess(tmp_path / "log", *flags, port=port, wait=False) as server:
            port = server.port
            time.sleep(moment)
            server.kill()
    # A version whose copy was interrupted by the same crash: it must never answer.
    torn = repository.add("digits", 2)
    (torn / "variables" / "variables.index").unlink()
    with ModelServerProcess(tmp_path / "log", *flags, port=port) as server:
        caller = Caller(server.target)
        assert caller.digit() == (1, 3)
        assert caller.states("digits") == {1: AVAILABLE, 2: END}
        with pytest.raises(grpc.RpcError):
            caller.digit(2)
        caller.close()


def test_killed_under_load_and_started_again_it_answers_right_from_the_first_call(repository: Repository, tmp_path: Path) -> None:
    for version in (1, 2):
        repository.add("digits", version)
    repository.write_config("digits")
    flags = (f"--model_config_file={repository.config}",)
    with ModelServerProcess(tmp_path / "log", *flags) as first, Load(first.target) as load:
        deadline = time.monotonic() + 20
        while sum(load.answers.values()) < 50:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
        before = sum(load.answers.values())
        with ModelServerProcess(tmp_path / "log", *flags, port=first.port) as second:
            while sum(load.answers.values()) < before + 50:
                assert time.monotonic() < deadline + 60
                time.sleep(0.01)
            assert second.process.poll() is None
    assert load.wrong == []
    assert set(load.answers) == {2}, "no answer may come from a lower version because the highest was not loaded yet"
    assert {problem.code() for problem in load.failures} <= {grpc.StatusCode.UNAVAILABLE}
