"""The labelmesh command as the mesh's administrator: `as_administrator.py COMMAND ...`; nothing where LABELMESH_DEMO is not true."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labelmesh_client.command.main import run

if __name__ == "__main__":
    if os.environ.get("LABELMESH_DEMO") != "true":
        print("No demo: LABELMESH_DEMO is not true.")
        sys.exit(0)
    os.environ.setdefault("LABELMESH_USER", "admin")
    os.environ.setdefault("LABELMESH_PASSWORD", Path("/run/secrets/admin/password").read_text().strip())
    run()
