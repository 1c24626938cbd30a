"""`python -m labelmesh_client` is the command `labelmesh`."""

from __future__ import annotations

from labelmesh_client.command.main import run

run()
