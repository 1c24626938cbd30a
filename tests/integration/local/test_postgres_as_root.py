"""PostgreSQL refuses root. Where root may not use a user namespace either, another account runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Makes a user namespace with all accounts in it, in which further ones are forbidden, as in many containers; runs the rest as its root.
_WITHOUT_NAMESPACES = """
import ctypes, os, sys
inside_r, inside_w = os.pipe()
mapped_r, mapped_w = os.pipe()
child = os.fork()
if child == 0:
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(inside_w, b"x")
    os.read(mapped_r, 1)
    os.setuid(0)
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
os.read(inside_r, 1)
for kind in ("uid_map", "gid_map"):
    with open(f"/proc/{child}/{kind}", "w") as file:
        file.write("0 0 65536")
os.write(mapped_w, b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

_ROUND = """
import pathlib, sys
import psycopg2
from labelmesh_local.launch import user_namespaces_work
from labelmesh_local.postgres import Postgres
server = Postgres(pathlib.Path(sys.argv[1]), durable=False)
server.start()
server.create_database("labeling")
connection = psycopg2.connect(server.dsn("labeling"))
with connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS rounds (n int)")
    cursor.execute("INSERT INTO rounds VALUES (1)")
    cursor.execute("SELECT count(*) FROM rounds")
    rounds = cursor.fetchone()[0]
connection.close()
owner = pathlib.Path(f"/proc/{server.process.pid}").stat().st_uid
assert server.stop()
print(f"namespaces={user_namespaces_work()} rounds={rounds} owner={owner}")
"""


def _round(data: Path, *wrapper: str) -> dict[str, str]:
    done = subprocess.run([sys.executable, *wrapper, "-c", _ROUND, str(data)], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=") for pair in done.stdout.split())


def test_the_same_data_serves_with_and_without_user_namespaces(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    forbidden = ("-c", _WITHOUT_NAMESPACES) if os.geteuid() == 0 else ()
    rounds = [_round(closed / "postgres", *forbidden), _round(closed / "postgres"), _round(closed / "postgres", *forbidden)]
    assert [result["rounds"] for result in rounds] == ["1", "2", "3"]
    if forbidden:
        assert rounds[0]["namespaces"] == rounds[2]["namespaces"] == "False"
        assert rounds[0]["owner"] != "0"
