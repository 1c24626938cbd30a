"""Training in the mesh: what becomes of a training, of two at once, and of one that is killed, stopped or lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from labelmesh_client import Client, NotFound, Project, Question, TrainingState, VersionState, classes_from_names
from labelmesh_client.predictions import predict_batch
from labelmesh_client.sources.digits import Digit, digits
from labelmesh_training.comparison import labels_of

from tests.integration.training.drawings import drawings
from tests.integration.training.mesh import LEASE_S, TrainingMesh

#: Enough to see that everything goes its way; how well it reads is looked at elsewhere.
QUICK = ("--reference", "--epochs", "1")


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0, step_s: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(step_s)


def labeled_project(client: Client, count: int, label: Callable[[Digit], str]) -> Project:
    """A project with the first `count` demo digits, each labeled as `label` says."""
    classes = classes_from_names([str(digit) for digit in range(10)])
    project = client.create_project(f"digits {uuid.uuid4().hex[:8]}", classes, repeat_rate=0)
    chosen = {digit.png: digit for digit in list(digits())[:count]}
    list(project.import_images([digit.as_file() for digit in chosen.values()]))
    for lease in project.leases():
        lease.submit(label(chosen[lease.image()]))
    return project


def truly(digit: Digit) -> str:
    return str(digit.target)


def workplaces(mesh: TrainingMesh) -> list[Path]:
    """What trainings keep in the repository while they write."""
    return [path for path in mesh.repository.path.iterdir() if path.name.startswith((".training-", ".incoming-"))]


def state(client: Client, model: str) -> TrainingState | None:
    """Of the model's newest training."""
    newest = next(client.trainings.list(model), None)
    return newest.state if newest is not None else None


def is_training(client: Client, model: str) -> bool:
    """Whether the model's newest training has come to learning."""
    newest = next(client.trainings.list(model), None)
    return newest is not None and newest.state is TrainingState.RUNNING and newest.progress.stage == "training"


def has_no_version(mesh: TrainingMesh, client: Client, model: str) -> bool:
    """Neither in the repository, nor in what is served, nor registered."""
    try:
        registered = client.models.get(model).versions
    except NotFound:
        registered = ()
    return (mesh.repository.versions(model), mesh.repository.served(model), registered) == ((), (), ())


def test_labels_become_a_version_that_answers_and_is_stable(mesh: TrainingMesh, client: Client, model: str) -> None:
    project = labeled_project(client, 260, truly)
    ran = mesh.train("--model", model, "--project", project.id, "--epochs", "4", "--json")
    assert ran.code == 0, ran.err
    assert "reference digits are learned from too" in ran.err
    made = ran.last
    assert (made["event"], made["version"], made["promoted"]) == ("trained", 1, True)
    served = client.models.get(model)
    version = served.version(1)
    assert version is not None and version.state is VersionState.AVAILABLE
    assert served.routing.aliases == {"stable": 1}
    assert version.metrics["accuracy"] == made["metrics"]["accuracy"] >= 0.95
    counts = {name: version.metrics[f"{name}_images"] for name in ("mesh", "reference", "drawn", "held_out_mesh", "held_out_reference")}
    assert counts["mesh"] + counts["reference"] + counts["held_out_reference"] + (260 - counts["mesh"]) == 1797
    assert counts["drawn"] > 0 and counts["held_out_mesh"] == 0
    assert {f"recall_{digit}" for digit in range(10)} <= version.metrics.keys()
    training = client.trainings.get(version.training_id)
    assert training.state is TrainingState.SUCCEEDED
    assert [epoch.epoch for epoch in training.history] == [1, 2, 3, 4]
    assert {"loss", "accuracy", "validation_loss", "validation_accuracy"} <= training.history[-1].metrics.keys()
    assert workplaces(mesh) == []
    files, shown = drawings(60, seed=3)
    answers = list(labels_of(predict_batch(client.services, Question(model), files)))
    assert sum(answer == str(digit) for answer, digit in zip(answers, shown, strict=True)) >= 54


def test_labels_of_the_mesh_alone_are_learned_from_and_measured_with(mesh: TrainingMesh, client: Client, model: str) -> None:
    project = labeled_project(client, 240, truly)
    ran = mesh.train("--model", model, "--project", project.display_name, "--no-reference", "--epochs", "2")
    assert ran.code == 0, ran.err
    assert "held-out pictures of the mesh" in ran.out
    version = client.models.get(model).version(1)
    assert version is not None
    metrics = version.metrics
    assert metrics["mesh_images"] + metrics["held_out_mesh_images"] == 240
    assert metrics["reference_images"] == metrics["drawn_images"] == metrics["held_out_reference_images"] == 0


def test_too_few_labels_are_an_error_that_says_how_many_are_needed(mesh: TrainingMesh, client: Client, model: str) -> None:
    project = labeled_project(client, 12, truly)
    ran = mesh.train("--model", model, "--project", project.id, "--no-reference")
    assert ran.code == 1
    assert "12 labeled digits" in ran.err and "200 are needed, and 10 of each digit" in ran.err and "--no-reference" in ran.err
    assert state(client, model) is TrainingState.FAILED
    assert has_no_version(mesh, client, model)


def test_an_unknown_project_starts_no_training(mesh: TrainingMesh, client: Client, model: str) -> None:
    ran = mesh.train("--model", model, "--project", "nowhere")
    assert ran.code == 1 and "There is no project “nowhere”" in ran.err
    assert state(client, model) is None


def test_two_trainings_at_once_make_one_version(mesh: TrainingMesh, client: Client, model: str) -> None:
    both = [mesh.start_training("--model", model, *QUICK), mesh.start_training("--model", model, *QUICK)]
    ran = [mesh.ended(process) for process in both]
    assert [one.code for one in ran] == [0, 0], [one.err for one in ran]
    assert sum("runs already" in one.err for one in ran) == 1
    assert mesh.repository.versions(model) == (1,)
    assert [training.state for training in client.trainings.list(model)] == [TrainingState.SUCCEEDED]


def test_several_first_starts_train_once_and_later_ones_do_nothing(mesh: TrainingMesh, client: Client, model: str) -> None:
    started = [mesh.start_training("--model", model, "--if-none", "--epochs", "1") for _ in range(3)]
    ran = [mesh.ended(process) for process in started]
    assert [one.code for one in ran] == [0, 0, 0], [one.err for one in ran]
    began = time.monotonic()
    again = mesh.train("--model", model, "--if-none")
    assert again.code == 0 and "has a version already; nothing was trained" in again.err
    assert time.monotonic() - began < 10
    assert mesh.repository.versions(model) == (1,)
    assert len(list(client.trainings.list(model))) == 1


def test_killed_while_it_learns_it_leaves_nothing_and_the_next_one_takes_over(mesh: TrainingMesh, client: Client, model: str) -> None:
    first = mesh.start_training("--model", model, "--reference", "--epochs", "500")
    until(lambda: is_training(client, model), "learning")
    first.kill()
    mesh.ended(first)
    assert has_no_version(mesh, client, model)
    assert workplaces(mesh) == []
    second = mesh.train("--model", model, *QUICK)
    assert second.code == 0, second.err
    # The next one begins while the lease of the killed one runs: it waits for it, and then does not give up.
    assert "runs already" in second.err
    assert [one.state for one in client.trainings.list(model)] == [TrainingState.SUCCEEDED, TrainingState.LOST]
    assert mesh.repository.versions(model) == mesh.repository.served(model) == (2,)


def test_killed_between_writing_and_publishing_nothing_half_written_is_served(mesh: TrainingMesh, client: Client, model: str) -> None:
    first = mesh.start_training("--model", model, *QUICK)
    stop_when_written(mesh, model, first)
    assert mesh.repository.versions(model) == ()
    first.kill()
    mesh.ended(first)
    assert len(workplaces(mesh)) == 1
    assert has_no_version(mesh, client, model)
    second = mesh.train("--model", model, *QUICK)
    assert second.code == 0, second.err
    assert workplaces(mesh) == []
    assert mesh.repository.versions(model) == (2,)
    version = client.models.get(model).version(2)
    assert version is not None and version.state is VersionState.AVAILABLE


def stop_when_written(mesh: TrainingMesh, model: str, process: subprocess.Popen[str]) -> None:
    """Halts a training (SIGSTOP) when the last file of its version is there, before it is published."""

    def is_written() -> bool:
        assert process.poll() is None, process.communicate()
        return any(mesh.repository.path.glob(f".training-{model}-*/assets.extra/tf_serving_warmup_requests"))

    until(is_written, "the version's files", step_s=0.002)
    os.kill(process.pid, signal.SIGSTOP)


def test_a_lost_lease_leaves_no_version(mesh: TrainingMesh, client: Client, model: str) -> None:
    process = mesh.start_training("--model", model, *QUICK)
    stop_when_written(mesh, model, process)
    until(lambda: state(client, model) is TrainingState.LOST, "the end of the lease", LEASE_S * 4)
    os.kill(process.pid, signal.SIGCONT)
    ran = mesh.ended(process)
    assert ran.code == 1
    assert "The training was lost" in ran.err and "Traceback" not in ran.err
    assert has_no_version(mesh, client, model)
    assert workplaces(mesh) == []


def test_stopped_by_hand_it_says_so_and_leaves_nothing(mesh: TrainingMesh, client: Client, model: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        process = mesh.start_training("--model", model, "--reference", "--epochs", "500")
        until(lambda: is_training(client, model), "learning")
        process.send_signal(number)
        ran = mesh.ended(process, seconds=20)
        assert ran.code == 130 and "Traceback" not in ran.err, ran.err
        newest = next(client.trainings.list(model))
        assert (newest.state, newest.problem) == (TrainingState.FAILED, "it was stopped")
    assert has_no_version(mesh, client, model)
    assert workplaces(mesh) == []


def test_a_worse_version_is_not_promoted(mesh: TrainingMesh, client: Client, model: str) -> None:
    assert mesh.train("--model", model, "--reference", "--epochs", "2").code == 0
    chance = random.Random(1)
    misled = labeled_project(client, 240, lambda digit: str((digit.target + chance.randrange(1, 10)) % 10))
    worse = mesh.train("--model", model, "--project", misled.id, *QUICK, "--json")
    assert worse.code == 0, worse.err
    result = worse.last
    assert result["metrics"]["accuracy"] < result["stable"]["accuracy"]
    assert (result["promoted"], result["stable"]["version"], result["stable"]["failed"]) == (False, 1, 0)
    first = client.models.get(model).version(1)
    assert first is not None
    # Asked through the mesh, the version that is stable does as well as it did in its own training.
    assert abs(result["stable"]["accuracy"] - first.metrics["accuracy"]) < 0.01
    assert client.models.get(model).routing.aliases == {"stable": 1}
    assert mesh.repository.served(model) == (1, 2)


def test_waiting_for_a_training_that_fails_is_a_failure(mesh: TrainingMesh, client: Client, model: str) -> None:
    running = client.trainings.start(model)
    waiting = mesh.start_training("--model", model, *QUICK)
    time.sleep(2)
    running.fail("the disk is full")
    ran = mesh.ended(waiting)
    assert ran.code == 1 and "The training that was running failed: the disk is full" in ran.err


def test_a_version_that_lies_there_already_is_never_replaced(mesh: TrainingMesh, client: Client, model: str) -> None:
    there = mesh.repository.folder(model, 1)
    there.mkdir(parents=True)
    (there / "saved_model.pb").write_bytes(b"of somebody else")
    ran = mesh.train("--model", model, *QUICK)
    assert ran.code == 1 and f"has a version 1 of {model} already" in ran.err
    assert state(client, model) is TrainingState.FAILED
    assert [path.name for path in there.iterdir()] == ["saved_model.pb"]
    assert workplaces(mesh) == []


def test_without_a_repository_nothing_is_started(mesh: TrainingMesh, client: Client, model: str) -> None:
    ran = mesh.train("--model", model, *QUICK, environment={"LABELMESH_MODELS": ""})
    assert ran.code == 1 and "--repository" in ran.err
    assert state(client, model) is None
