"""Tables of stored predictions, their pictures, and what shadow calls showed.

A prediction's id begins with the time it was made at (RFC 9562, version 7), so ids are in the order of time and new rows are neighbours.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Identity, Index, Integer, LargeBinary, SmallInteger, Table, Text, text

from labelmesh_inference.tables import METADATA, NOW, TIME, UUID_TYPE

# `caller_id` is the account; `sha256` of the input as it came; `result` a serialized Result of the contract; times in microseconds.
# `picture` says that the file is kept, under its sha256.
PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("id", UUID_TYPE, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("alias", Text, nullable=False),
    Column("caller_id", UUID_TYPE, nullable=False),
    Column("request_id", UUID_TYPE),
    Column("fingerprint", Text),
    Column("sha256", LargeBinary, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("picture", Boolean, nullable=False),
    Column("project_id", UUID_TYPE),
    Column("image_id", UUID_TYPE),
    Column("source_url", Text, nullable=False),
    Column("result", LargeBinary, nullable=False),
    Column("fetch_us", Integer, nullable=False),
    Column("preparation_us", Integer, nullable=False),
    Column("waiting_us", Integer, nullable=False),
    Column("model_us", Integer, nullable=False),
    Column("total_us", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("feedback_correct", Boolean),
    Column("feedback_label", Text),
    Column("feedback_author", UUID_TYPE),
    Column("feedback_at", TIME),
    Index("predictions_caller", "caller_id", "id"),
    Index("predictions_version", "model", "version", "id"),
    Index("predictions_request_id", "caller_id", "request_id", unique=True, postgresql_where=text("request_id IS NOT NULL")),
    Index("predictions_wrong", "id", postgresql_where=text("NOT feedback_correct")),
    Index("predictions_picture", "sha256", postgresql_where=text("picture")),
)

# How many predictions a version has, and what people said of them: the sum over the shards, of which a call changes any one, so that calls
# do not wait for each other.
COUNTS = Table(
    "prediction_counts",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("predictions", BigInteger, nullable=False, server_default=text("0")),
    Column("feedback", BigInteger, nullable=False, server_default=text("0")),
    Column("feedback_correct", BigInteger, nullable=False, server_default=text("0")),
    postgresql_with={"fillfactor": "50"},
)

# A file in object storage. It is announced (not stored) before it is put, so that nothing lies there that no row knows of, and it is not
# stored any more once no prediction refers to it; what stays so for long is deleted.
PICTURES = Table(
    "pictures",
    METADATA,
    Column("sha256", LargeBinary, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("stored", Boolean, nullable=False),
    Column("touched_at", TIME, nullable=False),
    Index("pictures_pending", "touched_at", postgresql_where=text("NOT stored")),
)

# A call that a shadow answered too. `prediction_id` is unset where the prediction was not stored; `problem` is empty unless the shadow
# failed, and then there is no shadow answer. `score_difference` is the mean absolute difference, 0 to 1; times in microseconds.
SHADOWS = Table(
    "shadows",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("shadow_version", BigInteger, nullable=False),
    Column("prediction_id", UUID_TYPE),
    Column("agrees", Boolean, nullable=False),
    Column("problem", Text, nullable=False),
    Column("score_difference", Double, nullable=False),
    Column("latency_us", Integer, nullable=False),
    Column("shadow_latency_us", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("shadow_answer", Text, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Index("shadows_pair", "model", "version", "shadow_version", "id"),
    Index("shadows_created_at", "created_at"),
)
