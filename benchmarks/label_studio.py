"""Label Studio on PostgreSQL under gunicorn, as the peer that labels per second are measured beside.

It needs the extension pg_trgm, which the embedded PostgreSQL does not have; so its database is Debian's PostgreSQL (package
`postgresql`), from which it takes the binaries alone. Its Python packages live in an environment of their own.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labelmesh_local.ports import free_port

HERE = Path(__file__).resolve().parent
USERS = 8


def debian_postgres() -> Path:
    """The folder of Debian's newest PostgreSQL server; SystemExit with a sentence when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parent.parent.name))
    if not found or not any(entry.pw_name == "postgres" for entry in pwd.getpwall()):
        raise SystemExit("Label Studio needs a PostgreSQL with the extension pg_trgm: apt-get install postgresql")
    return found[-1].parent


class LabelStudio:
    """One server with `tasks` digits to label and eight annotators; `tokens` are theirs."""

    def __init__(self, folder: Path, environment: Path, tasks: int) -> None:
        self._folder = folder
        self._bin = environment / "bin"
        self._tasks = tasks
        self._package = next((environment / "lib").glob("python3*/site-packages/label_studio"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self.project = 0
        self.tokens: list[str] = []

    def start(self) -> None:
        """Starts database and server; returns when it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Its database runs as another user, who has to get to its folder.
        for parent in (self._folder, *self._folder.parents[:2]):
            parent.chmod(parent.stat().st_mode | 0o011)
        database_port = self._start_postgres()
        variables = self._environment(database_port)
        python = str(self._bin / "python")
        self._run([python, str(self._package / "manage.py"), "migrate"], variables)
        printed = self._run([python, "-P", str(HERE / "label_studio_setup.py"), str(USERS), str(self._tasks)], variables)
        made = json.loads(next(line for line in printed.splitlines() if line.startswith("RESULT ")).removeprefix("RESULT "))
        self.project, self.tokens = made["project"], made["tokens"]
        self.port = free_port()
        command = [str(self._bin / "gunicorn"), "-w", "2", "--threads", "4", "-b", f"127.0.0.1:{self.port}", "core.wsgi:application"]
        with (self._folder / "gunicorn.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log))
        self._wait()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(60)

    def label(self, labels_per_user: int) -> float:
        """Has all annotators label at once, by the calls that its own labeling page makes; returns labels per second."""
        started = time.perf_counter()
        with ThreadPoolExecutor(len(self.tokens)) as pool:
            list(pool.map(lambda token: self._annotate(token, labels_per_user), self.tokens))
        return labels_per_user * len(self.tokens) / (time.perf_counter() - started)

    def server_cpu_seconds(self) -> float:
        """CPU time of all its processes and their children so far."""
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0
        for process in self._processes:
            for pid in _family(process.pid):
                try:
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                except FileNotFoundError:
                    continue
                total += int(fields[11]) + int(fields[12])
        return total / ticks

    def _annotate(self, token: str, labels: int) -> None:
        for number in range(labels):
            task = self._call(f"/api/dm/actions?id=next_task&project={self.project}", token, {})
            choice = {"from_name": "digit", "to_name": "image", "type": "choices", "value": {"choices": [str(number % 10)]}}
            self._call(f"/api/tasks/{task['id']}/annotations/?project={self.project}", token, {"result": [choice], "lead_time": 1.0})

    def _call(self, path: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"authorization": f"Token {token}", "content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=json.dumps(body).encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: dict[str, Any] = json.loads(reply.read())
        return answer

    def _start_postgres(self) -> int:
        binaries = debian_postgres()
        home = self._folder / "postgres"
        home.mkdir()
        shutil.chown(home, "postgres")
        password = self._folder / "password"
        password.write_text("label-studio")
        password.chmod(0o644)
        initdb = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", "labelstudio", "--pwfile", str(password), "-A", "scram-sha-256"]
        subprocess.run(initdb, user="postgres", cwd="/", check=True, capture_output=True)
        port = free_port()
        command = [str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=100"]
        with (self._folder / "postgres.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, user="postgres", cwd="/", stdout=log, stderr=log))
        for _ in range(100):
            if (
                subprocess.run(
                    [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)], capture_output=True, check=False
                ).returncode
                == 0
            ):
                return port
            time.sleep(0.2)
        raise SystemExit(f"Label Studio's PostgreSQL did not start; see {self._folder / 'postgres.log'}")

    def _environment(self, database_port: int) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(self._package),
            "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
            "DJANGO_DB": "default",
            "POSTGRE_USER": "labelstudio",
            "POSTGRE_PASSWORD": "label-studio",
            "POSTGRE_NAME": "postgres",
            "POSTGRE_HOST": "127.0.0.1",
            "POSTGRE_PORT": str(database_port),
            "LABEL_STUDIO_BASE_DATA_DIR": str(self._folder / "data"),
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "DEBUG": "false",
            "LOG_LEVEL": "WARNING",
        }

    def _run(self, command: list[str], variables: dict[str, str]) -> str:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"Label Studio's set-up failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def _wait(self) -> None:
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise SystemExit(f"Label Studio did not answer; see {self._folder / 'gunicorn.log'}")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in children.read_text().split()] if children.exists() else []
    return [pid, *(descendant for child in found for descendant in _family(child))]
