"""The Postgres types of the parameters that the statements of the labeling loop take; see labelmesh_chassis.statements."""

from __future__ import annotations

TYPES = {
    "after": "bigint",
    "asker_key": "int",
    "class_id": "text",
    "client_id": "text",
    "completed": "int",
    "consistent": "int",
    "draws": "bigint[]",
    "ending": "uuid",
    "fingerprint": "text",
    "image_id": "uuid",
    "lead_seconds": "double precision",
    "lease_id": "uuid",
    "lease_seconds": "double precision",
    "looked_at": "int",
    "most": "int",
    "next": "jsonb",
    "ontology_key": "int",
    "project_id": "uuid",
    "recent": "bigint",
    "repeat": "int",
    "repeat_of": "uuid",
    "request_id": "uuid",
    "session_id": "text",
    "slot": "int",
    "user_id": "uuid",
}
