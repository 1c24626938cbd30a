"""Versions, configs and labels that change under load."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.integration.modelserver.house import AVAILABLE, END, LOADING, UNLOADING, Caller, Load, Repository, RunningServer, predict_request


def test_a_new_version_takes_over_under_load_without_a_failed_call(repository: Repository) -> None:
    repository.add("digits", 1)
    flags = (f"--model_base_path={repository.root / 'digits'}", "--model_name=digits")
    with RunningServer(*flags) as server, Load(server.target) as load:
        for version in (2, 3):
            _answered(server, load, version - 1)
            repository.add("digits", version)
        _answered(server, load, 3)
        assert server.states("digits") == {1: END, 2: END, 3: AVAILABLE}
    assert load.failures == []
    assert load.wrong == [], "an answer must name the version that made it"
    assert set(load.answers) == {1, 2, 3}


def test_a_version_that_goes_away_under_load_hands_over_to_the_one_before(repository: Repository) -> None:
    for version in (1, 2):
        repository.add("digits", version)
    repository.write_config("digits")
    with RunningServer(f"--model_config_file={repository.config}") as server, Load(server.target) as load:
        _answered(server, load, 2)
        repository.write_config("digits", policy="specific { versions: 1 }")
        _answered(server, load, 1)
    assert (load.failures, load.wrong) == ([], [])


def test_the_config_file_is_read_again_for_models_versions_and_labels(repository: Repository) -> None:
    for version in (1, 2, 3):
        repository.add("digits", version)
    repository.write_config("digits", policy="specific { versions: 1 }")
    with RunningServer(f"--model_config_file={repository.config}") as server:
        assert server.states("digits") == {1: AVAILABLE}
        repository.write_config("digits", policy="specific { versions: 1 versions: 3 }")
        server.until(lambda: server.states("digits") == {1: AVAILABLE, 3: AVAILABLE})
        repository.add("add_one", 1)
        repository.write_config("digits", "add_one", policy="specific { versions: 1 }")
        server.until(lambda: server.states("digits") == {1: AVAILABLE, 3: END} and server.states("add_one") == {1: AVAILABLE})


def test_a_config_file_that_is_broken_for_a_moment_changes_nothing_and_is_taken_once_it_is_whole(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    repository.add("digits", 1)
    repository.write_config("digits")
    with RunningServer(f"--model_config_file={repository.config}") as server:
        repository.config.write_text("model_config_list { config { name: ")
        server.until(lambda: "Invalid protobuf file" in caplog.text)
        assert server.digit() == (1, 3)
        repository.add("digits", 2)
        repository.write_config("digits", policy="specific { versions: 2 }")
        server.until(lambda: server.states("digits") == {1: END, 2: AVAILABLE})


def test_a_label_in_the_config_file_is_taken_as_soon_as_its_version_is_available(repository: Repository) -> None:
    repository.add("digits", 1)
    repository.write_config("digits")
    with RunningServer(f"--model_config_file={repository.config}") as server:
        repository.write_config("digits", labels={"canary": 2})
        time.sleep(0.3)
        repository.add("digits", 2)

        def answers() -> bool:
            try:
                return _labelled(server, "canary") == 2
            except grpc.RpcError as problem:
                if problem.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                return False

        server.until(answers)


@pytest.mark.parametrize("allowed", [False, True])
def test_labels_in_the_first_config_need_leave_to_run_ahead_of_their_versions(repository: Repository, allowed: bool) -> None:
    """Source: docs/serving_config.md, "Assigning String Labels to Model Versions": labels only for versions already loaded."""
    repository.add("digits", 1)
    repository.write_config("digits", labels={"stable": 1})
    flags = (f"--model_config_file={repository.config}", f"--allow_version_labels_for_unavailable_models={str(allowed).lower()}")
    if not allowed:
        with pytest.raises(Exception, match="not currently available for inference"), RunningServer(*flags):
            pass
        return
    with RunningServer(*flags) as server:
        assert _labelled(server, "stable") == 1


def test_reloading_by_call_waits_for_the_new_models_and_reports_what_fails(repository: Repository) -> None:
    repository.add("digits", 1)
    repository.add("boxes", 1)
    repository.add("mask", 1, change=lambda folder: (folder / "saved_model.pb").unlink())
    repository.write_config("digits")
    with RunningServer(f"--model_config_file={repository.config}", "--model_config_file_poll_wait_seconds=0") as server:
        repository.write_config("digits", "boxes")
        assert server.reload(repository.config.read_text()).status.error_code == 0
        assert server.states("boxes") == {1: AVAILABLE}
        repository.write_config("digits", "mask")
        with pytest.raises(grpc.RpcError) as refused:
            server.reload(repository.config.read_text())
        assert refused.value.code() is grpc.StatusCode.UNKNOWN
        assert (refused.value.details() or "").startswith(
            "1 model(s) did not become available: {{{name: mask version: 1} due to error: NOT_FOUND: Could not find SavedModel"
        )
        server.until(lambda: server.states("boxes") == {1: END})


def test_a_call_in_flight_ends_well_although_its_version_is_unloaded(repository: Repository) -> None:
    repository.add("slow", 1)
    base = f"--model_base_path={repository.root / 'slow'}"
    with RunningServer(base, "--model_name=slow") as server:
        answers: list[int] = []
        caller = Caller(server.target)

        def call() -> None:
            version, outputs = caller.predict("slow", timeout_s=60, x=np.ones(1, np.float32), steps=np.asarray(2000, np.int32))
            assert outputs["y"].tolist() == [1.0]
            answers.append(version)

        in_flight = threading.Thread(target=call)
        in_flight.start()
        time.sleep(0.2)
        repository.add("slow", 2, of="slow/1")
        server.until(lambda: server.states("slow") == {1: UNLOADING, 2: AVAILABLE})
        assert answers == []
        in_flight.join(timeout=60)
        caller.close()
        assert answers == [1]
        server.until(lambda: server.states("slow") == {1: END, 2: AVAILABLE})


def _remove_variables(folder: Path) -> None:
    shutil.rmtree(folder / "variables")


def _cut_variables(folder: Path) -> None:
    data = folder / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1])


def _cut_graph(folder: Path) -> None:
    graph = folder / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-100])


def _empty_graph(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"")


def _no_graph(folder: Path) -> None:
    (folder / "saved_model.pb").unlink()


def _only_variables_data(folder: Path) -> None:
    (folder / "variables" / "variables.index").unlink()


@pytest.mark.parametrize(
    ("damage", "code"),
    [(_remove_variables, 5), (_cut_variables, None), (_cut_graph, 15), (_empty_graph, 5), (_no_graph, 5), (_only_variables_data, 5)],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_version_that_is_not_whole_is_never_served_and_says_why(repository: Repository, damage: object, code: int | None) -> None:
    assert callable(damage)
    repository.add("digits", 1)
    with RunningServer(f"--model_base_path={repository.root / 'digits'}", "--model_name=digits") as server:
        repository.add("digits", 2, change=damage)
        server.until(lambda: server.states("digits").get(2) == END)
        failed = server.status("digits", 2)
        assert failed.status.error_code == code or (code is None and failed.status.error_code != 0)
        assert failed.status.error_message
        assert server.digit() == (1, 3)
        with pytest.raises(grpc.RpcError) as refused:
            server.digit(2)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        repository.add("digits", 3)
        server.until(lambda: server.states("digits") == {1: END, 2: END, 3: AVAILABLE})


def test_a_version_that_is_being_copied_is_served_once_it_is_whole_if_retries_last_that_long(repository: Repository) -> None:
    repository.add("digits", 1)
    flags = ("--model_name=digits", "--max_num_load_retries=100", "--load_retry_interval_micros=50000")
    with RunningServer(f"--model_base_path={repository.root / 'digits'}", *flags) as server:
        whole = repository.add("elsewhere", 2, of="digits/2")
        target = repository.root / "digits" / "2"
        seen: set[int] = set()
        for part in ("variables/variables.data-00000-of-00001", "saved_model.pb", "fingerprint.pb", "variables/variables.index"):
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            content = (whole / part).read_bytes()
            for end in (len(content) // 2, len(content)):
                (target / part).write_bytes(content[:end])
                time.sleep(0.12)
                state = server.states("digits")
                if state.get(2) != AVAILABLE:
                    assert state == {1: AVAILABLE, 2: LOADING}
                    assert server.digit() == (1, 3)
                seen.add(state.get(2, 0))
        server.until(lambda: server.states("digits") == {1: END, 2: AVAILABLE})
        assert server.digit() == (2, 4)
        assert LOADING in seen


def _answered(server: RunningServer, load: Load, version: int) -> None:
    """Until this version has answered often under load."""
    server.until(lambda: load.answers.get(version, 0) > 50)


def _labelled(server: RunningServer, label: str) -> int:
    request = predict_request("digits", image=np.zeros((1, 28, 28, 1), np.float32))
    request.model_spec.version_label = label
    return int(server.prediction.Predict(request, timeout=10).model_spec.version.value)
