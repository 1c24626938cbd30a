"""The first start of the mesh trains a model, once, and has it served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from labelmesh.inference.v1 import models_pb2, trainings_pb2

from tests.e2e.models.asking import CALL_S, Asker, best
from tests.e2e.models.digits import known_digits
from tests.support.mesh import until


def test_the_first_start_trained_one_version_that_reads_digits(asker: Asker) -> None:
    first = asker.training_list()[-1]
    assert (first.version, first.state) == (1, trainings_pb2.TRAINING_STATE_SUCCEEDED)
    version = next(each for each in asker.model().versions if each.version == 1)
    assert version.metrics["accuracy"] > 0.95
    assert version.training_id == first.id
    assert [step.epoch for step in first.history] == list(range(1, len(first.history) + 1))
    log = asker.mesh.log("mesh")
    assert log.count("Training a model that reads digits") == 1
    assert log.index("Labelmesh runs at") < log.index("The model is ready"), "the mesh does not wait for it"


def test_where_there_is_a_model_the_first_training_does_nothing(asker: Asker) -> None:
    before = [training.id for training in asker.training_list()]
    done = asker.mesh.command("labelmesh", "train", "digits", "--if-none")
    assert done.returncode == 0, done.stdout
    assert "digits has a version already; nothing was trained." in done.stdout
    assert [training.id for training in asker.training_list()] == before


def test_two_first_trainings_at_once_make_one_version(asker: Asker) -> None:
    command = ("labelmesh", "train", "digits", "--model", "twins", "--if-none", "--epochs", "1")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: asker.mesh.command(*command), range(2)))
    assert [done.returncode for done in both] == [0, 0], both
    wanted = models_pb2.GetModelRequest(model="twins")
    model = asker.models.GetModel(wanted, metadata=asker.metadata, timeout=CALL_S).model
    assert [version.version for version in model.versions] == [1]
    assert [entry.name for entry in (asker.mesh.home / "data" / "models" / "twins").iterdir()] == ["1"]


def test_the_next_start_serves_the_model_without_training_again(asker: Asker) -> None:
    mesh = asker.mesh
    trainings = len(asker.training_list())
    mesh.down()
    mesh.up()
    known = known_digits()[9]
    until(lambda: asker.classic(known.image) == (200, {"prediction": known.digit}), 60, "an answer after the next start")
    assert best(asker.predict(known.png)) == known.digit
    assert mesh.log("mesh").count("Training a model that reads digits") == 1
    assert len(asker.training_list()) == trainings
