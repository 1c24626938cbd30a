"""What Prometheus learns of backups: a file for node exporter's textfile collector."""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

from labelmesh_operations.errors import spoken
from labelmesh_operations.manifest import Manifest

LAST_SUCCESS = "labelmesh_backup_last_success_timestamp_seconds"
_HELP = {
    LAST_SUCCESS: "When the newest complete backup was finished.",
    "labelmesh_backup_last_attempt_timestamp_seconds": "When a backup was tried last.",
    "labelmesh_backup_last_attempt_success": "Whether that one succeeded.",
    "labelmesh_backup_duration_seconds": "How long the newest complete backup took.",
    "labelmesh_backup_database_bytes": "Size of its dumps.",
    "labelmesh_backup_objects": "Objects in it.",
    "labelmesh_backup_object_bytes": "Their size.",
    "labelmesh_backup_findings": "What was wrong with the mesh itself while it was made: objects missing or damaged.",
}


def of_success(manifest: Manifest, seconds: float) -> dict[str, float]:
    """The values after a backup that took `seconds`."""
    now = time.time()
    return {
        LAST_SUCCESS: now,
        "labelmesh_backup_last_attempt_timestamp_seconds": now,
        "labelmesh_backup_last_attempt_success": 1,
        "labelmesh_backup_duration_seconds": seconds,
        "labelmesh_backup_database_bytes": sum(dump.file.size for dump in manifest.databases),
        "labelmesh_backup_objects": manifest.objects.count,
        "labelmesh_backup_object_bytes": manifest.objects.bytes,
        "labelmesh_backup_findings": len(manifest.findings),
    }


def of_failure(path: Path) -> dict[str, float]:
    """The values after a backup that failed: what is known of the last good one stays."""
    return {
        **read(path),
        "labelmesh_backup_last_attempt_timestamp_seconds": time.time(),
        "labelmesh_backup_last_attempt_success": 0,
    }


def read(path: Path) -> dict[str, float]:
    """The values that a file holds; none where there is no such file."""
    try:
        text = path.read_text()
    except OSError:
        return {}
    return {name: float(value) for name, value in re.findall(r"^(labelmesh_backup_\w+) (\S+)$", text, re.MULTILINE) if name in _HELP}


def write(path: Path, values: dict[str, float]) -> None:
    """Replaces the file as a whole; everybody may read it."""
    lines = [f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n{name} {value:.15g}\n" for name, value in values.items()]
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")  # node exporter reads *.prom alone
    with spoken(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
            file.write("".join(lines))
        fresh.replace(path)
