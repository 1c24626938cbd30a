"""Predictions go when their time is over, and pictures with the last prediction that refers to them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.objects import ObjectStore
from labelmesh_inference.predictions.album import Album
from labelmesh_inference.predictions.storage import Origin, Prediction, PredictionStore, Timing, new_ids, sweep_shadows

from tests.integration.inference.people import Person, new_id
from tests.integration.inference.predictions.questions import PICTURE, digit, judge, objects, picture, png, predict, predict_batch, stored
from tests.integration.inference.service import Inference, until
from tests.support.stores import StoreAddress

pytestmark = pytest.mark.usefixtures("digits")


class Broom:
    """What the housekeeper does, at a time of the test's own."""

    def __init__(self, inference: Inference, address: StoreAddress) -> None:
        self._database = inference.database
        self._album = Album(inference.database, ObjectStore(address.endpoint, address.access_key, address.secret_key, address.bucket))
        self._store = PredictionStore(inference.database, self._album)

    def predictions(self, *, in_days: float, days: int = 90, limit: int = 1000) -> int:
        """How many went."""
        with self._database.connection() as connection:
            return self._store.sweep(connection, days=days, limit=limit, now=datetime.now(UTC) + timedelta(days=in_days))

    def pictures(self, *, age_s: float = 0, limit: int = 1000) -> int:
        with self._database.connection() as connection:
            return self._album.sweep(connection, limit=limit, age_s=age_s)

    def shadows(self, *, in_days: float) -> int:
        with self._database.connection() as connection:
            return sweep_shadows(connection, days=90, limit=1000, now=datetime.now(UTC) + timedelta(days=in_days))


@pytest.fixture
def broom(inference: Inference, object_store_settings: StoreAddress) -> Broom:
    return Broom(inference, object_store_settings)


def test_predictions_stay_for_their_days_and_go_then_in_bounded_steps(ada: Person, manager: Person, broom: Broom) -> None:
    items = predict_batch(ada, [digit(0.1)] * 25)
    judge(ada, items[0].prediction.id, correct=True)
    assert broom.predictions(in_days=89.9) == 0 and len(stored(ada)) == 25
    assert [broom.predictions(in_days=90.1, limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert stored(ada) == []
    version = next(version for version in manager.model().model.versions if version.version == 1)
    assert (version.predictions_count, version.feedback_count, version.feedback_correct_count) == (0, 0, 0)


def test_a_picture_goes_with_the_last_prediction_that_refers_to_it(
    ada: Person, broom: Broom, object_store_settings: StoreAddress, inference: Inference
) -> None:
    old = predict(ada, picture(0.4))
    predict(ada, picture(0.5))
    # The second prediction of the first picture is younger.
    inference.sql("UPDATE predictions SET id = CAST('00000000' || substr(CAST(id AS text), 9) AS uuid)")
    predict(ada, picture(0.4))
    assert broom.predictions(in_days=0) == 2
    assert broom.pictures(age_s=3600) == 0, "somebody might be storing it just now"
    assert broom.pictures() == 1 and broom.pictures() == 0
    assert list(objects(object_store_settings)) == [f"predictions/{old.input_sha256}.png"]
    assert broom.predictions(in_days=91) == 1 and broom.pictures() == 1
    assert objects(object_store_settings) == {} and inference.sql("SELECT count(*) FROM pictures")[0][0] == 0


def test_a_picture_that_went_is_stored_again_when_it_is_asked_about_again(
    ada: Person, broom: Broom, object_store_settings: StoreAddress
) -> None:
    predict(ada, picture(0.4))
    broom.predictions(in_days=91)
    found = predict(ada, picture(0.4))
    assert broom.pictures() == 0 and len(objects(object_store_settings)) == 1
    broom.predictions(in_days=91)
    broom.pictures()
    assert predict(ada, picture(0.4)).input_sha256 == found.input_sha256 and len(objects(object_store_settings)) == 1


def test_no_picture_is_lost_while_sweeping_and_storing_race(
    ada: Person, broom: Broom, object_store_settings: StoreAddress, inference: Inference
) -> None:
    """Every prediction that is there has its picture, whatever was swept meanwhile."""

    def ask(number: int) -> None:
        predict_batch(ada, [picture(number % 4 / 10)] * 2, settings=pre.AnswerSettings(storage=PICTURE))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(60)]
        while not all(call.done() for call in asking):
            broom.predictions(in_days=91, limit=5)
            # Not those of this very moment, else an unlucky call would never come through.
            broom.pictures(age_s=0.05)
        for call in asking:
            call.result()
    kept = {f"predictions/{found.input_sha256}.png" for found in stored(ada, page_size=500)}
    assert kept <= objects(object_store_settings).keys()
    while broom.predictions(in_days=91):
        pass
    broom.pictures()
    assert objects(object_store_settings) == {} and inference.sql("SELECT count(*) FROM pictures")[0][0] == 0
    assert inference.sql("SELECT sum(predictions) FROM prediction_counts")[0][0] == 0


def test_a_picture_that_lost_its_mark_but_is_referred_to_is_kept(
    ada: Person, broom: Broom, object_store_settings: StoreAddress, inference: Inference
) -> None:
    predict(ada, picture(0.4))
    inference.sql("UPDATE pictures SET stored = false")
    assert broom.pictures() == 0 and len(objects(object_store_settings)) == 1
    assert inference.sql("SELECT stored FROM pictures")[0][0]


class Sweeper(ObjectStore):
    """Object storage where a picture is swept away in the moment after it was put, once."""

    def __init__(self, address: StoreAddress, sweep: Callable[[], int]) -> None:
        super().__init__(address.endpoint, address.access_key, address.secret_key, address.bucket)
        self._sweep = sweep
        self.puts = 0

    def put(self, key: str, data: bytes, media_type: str) -> None:
        super().put(key, data, media_type)
        self.puts += 1
        if self.puts == 1:
            assert self._sweep() == 1


def test_a_picture_swept_away_before_its_prediction_is_written_is_put_again(
    broom: Broom, object_store_settings: StoreAddress, inference: Inference
) -> None:
    objects_of_test = Sweeper(object_store_settings, broom.pictures)
    store = PredictionStore(inference.database, Album(inference.database, objects_of_test))
    content = png(0.4)
    sha256 = hashlib.sha256(content).digest()
    (prediction_id,) = new_ids(1)
    prediction = Prediction(prediction_id, b"", 1, Timing(), 1, sha256, "image/png", len(content), 28, 28, has_picture=True)
    origin = Origin("digits", "stable", UUID(new_id()), datetime.now(UTC))
    assert store.keep(origin, [prediction], {sha256: (content, "image/png")}) is None
    assert objects_of_test.puts == 2 and list(objects(object_store_settings).values()) == [content]


def test_shadows_comparisons_go_too(ada: Person, manager: Person, broom: Broom, inference: Inference) -> None:
    manager.set_traffic({}, shadow=mod.Shadow(alias="canary", share=1.0))
    predict(ada, picture(0.4))
    until(lambda: inference.sql("SELECT count(*) FROM shadows")[0][0] == 1)
    assert broom.shadows(in_days=89.9) == 0 and broom.shadows(in_days=90.1) == 1
