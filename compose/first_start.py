"""The first accounts: the administrator, and for the demo a guest; `first_start.py password` says the administrator's password instead."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from labelmesh_auth.__main__ import main as auth

PASSWORD = Path("/run/secrets/admin/password")


def make(name: str, role: str, password: str, *more: str) -> int:
    """Makes an account; says so when it is there already. The password goes by standard input, which nobody else sees."""
    sys.stdin = io.StringIO(password + "\n")
    return auth(["create-user", "--name", name, "--role", role, "--password-stdin", *more])


def main() -> int:
    """Makes what is absent."""
    password = PASSWORD.read_text().strip()
    if sys.argv[1:] == ["password"]:
        print(password)
        return 0
    status = make("admin", "admin", password)
    if status == 0 and os.environ.get("LABELMESH_DEMO") == "true":
        if os.environ.get("LABELMESH_BIND") not in ("127.0.0.1", "::1", "[::1]"):
            why = "everybody knows its password, and the gateway is not on loopback (LABELMESH_BIND)"
            print(f"No demo account is made: {why}. If there is a guest from before, disable it.", file=sys.stderr)
        else:
            os.environ["LABELMESH_LOCAL_DEMO"] = "true"
            status = make("guest", "annotator", "123456", "--demo")
    if status == 0:
        print("Sign in as admin. The password: docker compose run --rm first-start password")
    return status


if __name__ == "__main__":
    sys.exit(main())
