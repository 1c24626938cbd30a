"""Stored predictions: written in groups, found again, judged by people, and swept when their time is over."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, InvalidArgument, NotFound
from labelmesh_chassis.pages import Page, page_of, page_size, position
from labelmesh_chassis.statements import PreparedStatement
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from labelmesh_inference.access import MANAGE, Caller
from labelmesh_inference.predictions.album import Album
from labelmesh_inference.predictions.inputs import ProjectImage

_SHARDS = 16
_ATTEMPTS = 5
_MOST_US = 2**31 - 1

_KEEP = """
WITH counted AS (
    INSERT INTO prediction_counts AS c (model, version, shard, predictions) VALUES (:model, :version, :shard, :count)
    ON CONFLICT (model, version, shard) DO UPDATE SET predictions = c.predictions + excluded.predictions
)
INSERT INTO predictions (id, model, version, alias, caller_id, request_id, fingerprint, sha256, media_type, size_bytes, width, height,
    picture, project_id, image_id, source_url, result, fetch_us, preparation_us, waiting_us, model_us, total_us, batch_size, created_at)
SELECT n.id, :model, :version, :alias, :caller_id, :request_id, :fingerprint, n.sha256, n.media_type, n.size_bytes, n.width, n.height,
    n.picture, n.project_id, n.image_id, n.source_url, n.result, n.fetch_us, n.preparation_us, n.waiting_us, n.model_us, n.total_us,
    n.batch_size, :created_at
FROM unnest(:ids, :hashes, :media_types, :sizes, :widths, :heights, :pictures, :project_ids, :image_ids, :source_urls, :results,
    :fetch_us, :preparation_us, :waiting_us, :model_us, :total_us, :batch_sizes) AS n (id, sha256, media_type, size_bytes, width, height,
    picture, project_id, image_id, source_url, result, fetch_us, preparation_us, waiting_us, model_us, total_us, batch_size)
"""
_NUMBERS = ("sizes", "widths", "heights", "fetch_us", "preparation_us", "waiting_us", "model_us", "total_us", "batch_sizes")
_TYPES = {
    "model": "text",
    "version": "bigint",
    "shard": "smallint",
    "count": "bigint",
    "alias": "text",
    "caller_id": "uuid",
    "request_id": "uuid",
    "fingerprint": "text",
    "created_at": "timestamptz",
    "ids": "uuid[]",
    "hashes": "bytea[]",
    "media_types": "text[]",
    "pictures": "boolean[]",
    "project_ids": "uuid[]",
    "image_ids": "uuid[]",
    "source_urls": "text[]",
    "results": "bytea[]",
    **dict.fromkeys(_NUMBERS, "integer[]"),
}
_BY_ID = text("SELECT * FROM predictions WHERE id = :id")
_BY_REQUEST = text("SELECT * FROM predictions WHERE caller_id = :caller_id AND request_id = :request_id")
_LIST = "SELECT * FROM predictions WHERE id < :before {filters} ORDER BY id DESC LIMIT :limit"
_FILTERS = {
    "caller_id": "AND caller_id = :caller_id",
    "model": "AND model = :model",
    "version": "AND version = :version",
    "wrong": "AND NOT feedback_correct",
    "projects": "AND (project_id IS NULL OR project_id = ANY(CAST(:projects AS uuid[])))",
}
# The newest of each version, of which there are few: the index has a model's predictions by version.
_LIST_MODEL = text("""
SELECT p.* FROM (SELECT DISTINCT version FROM prediction_counts WHERE model = :model) v CROSS JOIN LATERAL (
    SELECT * FROM predictions WHERE model = :model AND version = v.version AND id < :before ORDER BY id DESC LIMIT :limit) p
ORDER BY p.id DESC LIMIT :limit
""")
_JUDGE = text("""
WITH before AS (SELECT id, model, version, feedback_correct FROM predictions WHERE id = :id FOR UPDATE), judged AS (
    UPDATE predictions p SET feedback_correct = :correct, feedback_label = :label, feedback_author = :author, feedback_at = :at
    FROM before WHERE p.id = before.id
)
INSERT INTO prediction_counts AS c (model, version, shard, feedback, feedback_correct)
SELECT model, version, :shard, CAST(feedback_correct IS NULL AS integer),
    CAST(:correct AS integer) - CAST(coalesce(feedback_correct, false) AS integer)
FROM before
ON CONFLICT (model, version, shard) DO UPDATE
SET feedback = c.feedback + excluded.feedback, feedback_correct = c.feedback_correct + excluded.feedback_correct
""")
_EXPIRE = text("""
DELETE FROM predictions WHERE id IN (SELECT id FROM predictions WHERE id < :before ORDER BY id LIMIT :limit)
RETURNING model, version, feedback_correct, CASE WHEN picture THEN sha256 END AS picture
""")
_UNCOUNT = text("""
INSERT INTO prediction_counts AS c (model, version, shard, predictions, feedback, feedback_correct)
SELECT model, version, 0, -gone, -judged, -correct
FROM unnest(CAST(:models AS text[]), CAST(:versions AS bigint[]), CAST(:gone AS bigint[]), CAST(:judged AS bigint[]),
    CAST(:correct AS bigint[])) AS n (model, version, gone, judged, correct)
ORDER BY model, version
ON CONFLICT (model, version, shard) DO UPDATE SET predictions = c.predictions + excluded.predictions,
    feedback = c.feedback + excluded.feedback, feedback_correct = c.feedback_correct + excluded.feedback_correct
""")
_EXPIRE_SHADOWS = text("""
DELETE FROM shadows WHERE id IN (SELECT id FROM shadows WHERE created_at < :before ORDER BY created_at LIMIT :limit)
""")


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, in seconds."""

    fetch_s: float = 0.0
    preparation_s: float = 0.0
    waiting_s: float = 0.0
    model_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody said of a prediction."""

    correct: bool
    label: str
    author_id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer of a model. `id` is empty where it is not stored; `result` as the contract has it, serialized; `sha256` of the input."""

    id: str
    result: bytes
    version: int
    timing: Timing
    batch_size: int
    sha256: bytes
    media_type: str = ""
    size_bytes: int = 0
    width: int = 0
    height: int = 0
    has_picture: bool = False
    project_image: ProjectImage | None = None
    source_url: str = ""
    feedback: Feedback | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What the predictions of one call have in common."""

    model: str
    alias: str
    caller_id: UUID
    created_at: datetime
    request_id: UUID | None = None
    fingerprint: str = ""


Stored = tuple[Origin, Prediction]


def new_ids(count: int) -> list[str]:
    """Ids in the order of time, also among themselves (RFC 9562, version 7, method 2)."""
    start = time.time_ns() // 1_000_000 << 80 | 0x7 << 76 | 0x2 << 62
    chance = int.from_bytes(os.urandom(9), "big") >> 1
    ids = []
    for number in range(count):
        # The random part grows, so that ids of one group keep their order; 12 bits of it stand before the variant.
        value = chance + (number << 54)
        digits = f"{start | (value >> 62 & 0xFFF) << 64 | value & (1 << 62) - 1:032x}"
        ids.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
    return ids


class PredictionStore:
    """The predictions of all models. Threads share it."""

    def __init__(self, database: Database, album: Album) -> None:
        self._database = database
        self._album = album
        self._keep = PreparedStatement(_KEEP, _TYPES)

    # --- writing ---

    def keep(self, origin: Origin, predictions: Sequence[Prediction], pictures: dict[bytes, tuple[bytes, str]]) -> Stored | None:
        """Writes predictions, which are on disk then, and their pictures: content and media type by SHA-256.

        Returns None, or, with a request_id that was used meanwhile, what is stored under it instead.
        """
        hashes = sorted(pictures)
        for attempt in range(1, _ATTEMPTS + 1):
            self._album.put(pictures)
            try:
                with self._database.connection() as connection:
                    self._album.mark(connection, hashes)
                    for version in sorted({prediction.version for prediction in predictions}):
                        of_version = [prediction for prediction in predictions if prediction.version == version]
                        self._keep.run(connection, _values(origin, version, of_version))
                return None
            except IntegrityError:
                found = self.find_request(origin) if origin.request_id is not None else None
                if found is None:
                    raise
                return found
            except Aborted as conflict:
                if conflict.reason != "CONCURRENT_CHANGE" or attempt == _ATTEMPTS:
                    raise
                time.sleep(0.02 * attempt)
        return None

    def judge(self, caller: Caller, prediction_id: UUID, *, correct: bool, label: str) -> Feedback:
        """Writes what somebody says of a prediction; the last word counts."""
        feedback = Feedback(correct, label, caller.user_id, datetime.now(UTC))
        with self._database.connection() as connection:
            _visible(connection.execute(_BY_ID, {"id": prediction_id}).one_or_none(), caller)
            values = {"id": prediction_id, "correct": correct, "label": label, "author": caller.user_id, "at": feedback.created_at}
            connection.execute(_JUDGE, {**values, "shard": random.randrange(_SHARDS)})
        return feedback

    # --- finding ---

    def find(self, caller: Caller, prediction_id: UUID) -> Stored:
        """A prediction. NotFound (PREDICTION_NOT_FOUND) also for those of others, unless the caller manages, and for those of images of
        other projects than a key is bound to."""
        with self._database.connection() as connection:
            row = connection.execute(_BY_ID, {"id": prediction_id}).one_or_none()
        return _stored(_visible(row, caller))

    def find_request(self, origin: Origin) -> Stored | None:
        """What was stored under a request_id, if anything; InvalidArgument (REQUEST_ID_REUSED) where another call used it."""
        with self._database.connection() as connection:
            row = connection.execute(_BY_REQUEST, {"caller_id": origin.caller_id, "request_id": origin.request_id}).one_or_none()
        if row is None:
            return None
        if row.fingerprint != origin.fingerprint:
            raise InvalidArgument("REQUEST_ID_REUSED", "the request_id was used for another call", field="request_id")
        return _stored(row)

    def list(self, caller: Caller, size: int, token: str, *, model: str = "", version: int = 0, wrong: bool = False) -> Page[Stored]:
        """Predictions, newest first: the caller's own, everybody's for those who manage; for a bound key none of other projects' images."""
        if version and not model:
            raise InvalidArgument("MODEL_MISSING", "a version says nothing without its model", field="model")
        size = page_size(size, default=50, most=500)
        everybody = manages(caller)
        scope = f"predictions {model} {version} {wrong} {'' if everybody else caller.user_id}"
        keys = position(token, scope, length=1)
        values: dict[str, object] = {"before": _id_of(keys[0]) if keys else UUID(int=(1 << 128) - 1), "limit": size + 1}
        bound = caller.bound_to is not None
        asked = {"caller_id": not everybody, "model": bool(model), "version": bool(version), "wrong": wrong, "projects": bound}
        values |= {"caller_id": caller.user_id, "model": model, "version": version, "projects": sorted(map(str, caller.bound_to or ()))}
        statement = text(_LIST.format(filters=" ".join(_FILTERS[name] for name, wanted in asked.items() if wanted)))
        if model and not version and everybody and not wrong and not bound:
            statement = _LIST_MODEL
        used = {name: value for name, value in values.items() if f":{name}" in statement.text}
        with self._database.connection() as connection:
            found = [_stored(row) for row in connection.execute(statement, used)]
        return page_of(found, size, scope, lambda stored: [stored[1].id])

    # --- sweeping ---

    def sweep(self, connection: Connection, *, days: int, limit: int, now: datetime | None = None) -> int:
        """Deletes up to `limit` predictions older than `days` and their last traces; returns how many. Repeating it does no harm."""
        before = (now or datetime.now(UTC)) - timedelta(days=days)
        gone = connection.execute(_EXPIRE, {"before": first_id(before), "limit": limit}).all()
        if gone:
            # Pictures before counts, as whoever stores has them, else the two could wait for each other.
            self._album.unmark(connection, [bytes(row.picture) for row in gone if row.picture is not None])
            connection.execute(_UNCOUNT, _uncounted(gone))
        return len(gone)


def sweep_shadows(connection: Connection, *, days: int, limit: int, now: datetime | None = None) -> int:
    """Deletes up to `limit` comparisons older than `days`; returns how many."""
    before = (now or datetime.now(UTC)) - timedelta(days=days)
    return int(connection.execute(_EXPIRE_SHADOWS, {"before": before, "limit": limit}).rowcount)


def manages(caller: Caller) -> bool:
    """Whether the caller sees what others asked: managers, and keys that may manage models."""
    return MANAGE in caller.scopes if caller.is_machine else caller.is_manager


def first_id(moment: datetime) -> UUID:
    """No prediction made before this moment has a larger id, none made after it a smaller one."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def _id_of(key: str | int) -> UUID:
    try:
        return UUID(str(key))
    except ValueError:
        raise InvalidArgument("PAGE_TOKEN_INVALID", "the page_token is not one of this list", field="page_token") from None


def _visible(row: Row[Any] | None, caller: Caller) -> Row[Any]:
    seen = row is not None and (row.caller_id == caller.user_id or manages(caller))
    if row is None or not seen or not (row.project_id is None or caller.bound_to is None or row.project_id in caller.bound_to):
        raise NotFound("PREDICTION_NOT_FOUND", "there is no such prediction", metadata={"field": "prediction_id"})
    return row


def _values(origin: Origin, version: int, predictions: Sequence[Prediction]) -> dict[str, object]:
    """Arrays as Postgres reads them, made by joining: the driver takes ten times as long over lists."""
    timings = [prediction.timing for prediction in predictions]
    images = [prediction.project_image for prediction in predictions]
    return {
        "model": origin.model,
        "version": version,
        "shard": random.randrange(_SHARDS),
        "count": len(predictions),
        "alias": origin.alias,
        "caller_id": str(origin.caller_id),
        "request_id": None if origin.request_id is None else str(origin.request_id),
        "fingerprint": origin.fingerprint or None,
        "created_at": origin.created_at,
        "ids": _array([prediction.id for prediction in predictions]),
        "hashes": _bytes_array([prediction.sha256 for prediction in predictions]),
        "media_types": _text_array([prediction.media_type for prediction in predictions]),
        "sizes": _array([str(prediction.size_bytes) for prediction in predictions]),
        "widths": _array([str(prediction.width) for prediction in predictions]),
        "heights": _array([str(prediction.height) for prediction in predictions]),
        "pictures": _array(["t" if prediction.has_picture else "f" for prediction in predictions]),
        "project_ids": _array(["NULL" if image is None else str(image.project_id) for image in images]),
        "image_ids": _array(["NULL" if image is None else str(image.image_id) for image in images]),
        "source_urls": _text_array([prediction.source_url for prediction in predictions]),
        "results": _bytes_array([prediction.result for prediction in predictions]),
        "fetch_us": _microseconds([timing.fetch_s for timing in timings]),
        "preparation_us": _microseconds([timing.preparation_s for timing in timings]),
        "waiting_us": _microseconds([timing.waiting_s for timing in timings]),
        "model_us": _microseconds([timing.model_s for timing in timings]),
        "total_us": _microseconds([timing.total_s for timing in timings]),
        "batch_sizes": _array([str(prediction.batch_size) for prediction in predictions]),
    }


def _array(elements: Sequence[str]) -> str:
    return "{" + ",".join(elements) + "}"


def _bytes_array(elements: Sequence[bytes]) -> str:
    return '{"' + '","'.join(["\\\\x" + element.hex() for element in elements]) + '"}'


def _text_array(elements: Sequence[str]) -> str:
    if not any(elements):
        return "{" + ",".join(['""'] * len(elements)) + "}"
    escaped = [element.replace("\\", "\\\\").replace('"', '\\"') for element in elements]
    return '{"' + '","'.join(escaped) + '"}'


def _microseconds(seconds: Sequence[float]) -> str:
    return "{" + ",".join([str(min(_MOST_US, round(each * 1e6))) for each in seconds]) + "}"


def _uncounted(gone: Sequence[Row[Any]]) -> dict[str, object]:
    counts: dict[tuple[str, int], list[int]] = {}
    for row in gone:
        count = counts.setdefault((row.model, row.version), [0, 0, 0])
        count[0] += 1
        count[1] += row.feedback_correct is not None
        count[2] += bool(row.feedback_correct)
    return {
        "models": [model for model, _ in counts],
        "versions": [version for _, version in counts],
        "gone": [count[0] for count in counts.values()],
        "judged": [count[1] for count in counts.values()],
        "correct": [count[2] for count in counts.values()],
    }


def _stored(row: Row[Any]) -> Stored:
    origin = Origin(row.model, row.alias, row.caller_id, row.created_at, row.request_id, row.fingerprint or "")
    feedback = None
    if row.feedback_correct is not None:
        feedback = Feedback(row.feedback_correct, row.feedback_label, row.feedback_author, row.feedback_at)
    times = (row.fetch_us, row.preparation_us, row.waiting_us, row.model_us, row.total_us)
    prediction = Prediction(
        str(row.id),
        bytes(row.result),
        row.version,
        Timing(*(microseconds / 1e6 for microseconds in times)),
        row.batch_size,
        bytes(row.sha256),
        row.media_type,
        row.size_bytes,
        row.width,
        row.height,
        row.picture,
        None if row.project_id is None else ProjectImage(row.project_id, row.image_id),
        row.source_url,
        feedback,
    )
    return origin, prediction
