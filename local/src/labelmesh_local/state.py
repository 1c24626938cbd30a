"""What the running mesh tells about itself, in a file, for `status`, `down` and the tests."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from labelmesh_local.home import Home, write_private
from labelmesh_local.lock import MeshLock

Phase = Literal["starting", "running", "stopping"]
PartPhase = Literal["waiting", "starting", "ready", "restarting", "stopped"]


@dataclass
class PartState:
    """One part: `ports` by what is served there, `restarts` since the mesh started, `start_seconds` of its last start."""

    name: str
    title: str
    phase: PartPhase = "waiting"
    pid: int | None = None
    ports: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    start_seconds: float | None = None
    ready_at: float | None = None


@dataclass
class MeshState:
    """The whole mesh. Times are seconds since the epoch."""

    pid: int
    port: int
    started_at: float
    phase: Phase = "starting"
    start_seconds: float | None = None
    parts: list[PartState] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def save(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=1))

    def part(self, name: str) -> PartState:
        return next(part for part in self.parts if part.name == name)

    @classmethod
    def load(cls, path: Path) -> MeshState | None:
        """Reads the file; None if there is none or it is not whole."""
        try:
            known = json.loads(path.read_text())
            parts = [PartState(**part) for part in known.pop("parts")]
            return cls(**known, parts=parts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def running_mesh(home: Home) -> MeshState | None:
    """The mesh that runs on this home now. A state file that a killed mesh left behind does not count."""
    holder = MeshLock(home.lock).holder()
    if holder is None:
        return None
    state = MeshState.load(home.state)
    if state is None or state.pid != holder:
        return MeshState(pid=holder, port=0, started_at=time.time())  # it has only just begun
    return state
