"""The model server and the folder that it serves from."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

from labelmesh_local.home import readable_trouble, write_private
from labelmesh_local.ports import answers, http_status
from labelmesh_local.process import Process

_MARK = "# Written by labelmesh"
_EMPTY = f"""\
{_MARK}; changes by hand are lost. Remove this line to keep the file to yourself.
model_config_list {{
}}
"""
_BASE_PATH = re.compile(r'^(?P<before> *base_path: ")(?P<path>[^"\\\n]+)(?P<after>")$', re.MULTILINE)
_METRICS = "/monitoring/prometheus/metrics"
_MONITORING = f"""\
prometheus_config {{
  enable: true
  path: "{_METRICS}"
}}
"""


def why_tensorflow_cannot_run(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Empty where it can. Its builds for x86-64 use AVX: on a processor without, a process that imports it is ended by SIGILL."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return ""
    try:
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    except OSError:
        return ""
    return "this processor has no AVX, which TensorFlow needs" if flags and "avx" not in flags.split() else ""


class ModelServer:
    """TensorFlow Serving's interface over `repository`, on two loopback ports: gRPC, and HTTP for its metrics."""

    def __init__(self, repository: Path, port: int, http_port: int, *, run_dir: Path, log: Path) -> None:
        self.repository = repository
        self._monitoring = run_dir / "monitoring.config"
        self.port = port
        self.http_port = http_port
        self._log = log
        self.process: Process | None = None

    @property
    def configuration(self) -> Path:
        """Which models are served: a ModelServerConfig as text, read again every second."""
        return self.repository / "models.config"

    def prepare(self) -> None:
        """Makes the repository if there is none, without a model in it; one that was moved is served from where it is now."""
        with readable_trouble(self.repository):
            self.repository.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = self.configuration.read_text() if self.configuration.exists() else ""
        if not known:
            write_private(self.configuration, _EMPTY)
        elif known.startswith(_MARK):
            moved = _BASE_PATH.sub(self._where_it_is, known)
            if moved != known:
                write_private(self.configuration, moved)
        write_private(self._monitoring, _MONITORING)

    def _where_it_is(self, line: re.Match[str]) -> str:
        path = Path(line["path"])
        here = self.repository.absolute() / path.name
        moved = not path.exists() and here.is_dir() and not any(character in str(here) for character in '"\\\n')
        return f"{line['before']}{here}{line['after']}" if moved else line[0]

    def launch(self) -> Process:
        """Starts the process and returns at once; `ready` says when it serves."""
        self.prepare()
        flags = {
            "port": self.port,
            "rest_api_port": self.http_port,
            "model_config_file": self.configuration,
            "model_config_file_poll_wait_seconds": 1,
            "file_system_poll_wait_seconds": 1,
            "monitoring_config_file": self._monitoring,
        }
        command = [sys.executable, "-m", "labelmesh_modelserver", *(f"--{name}={value}" for name, value in flags.items())]
        self.process = Process("the model server", command, log=self._log, environment={"PYTHONUNBUFFERED": "1"})
        self.process.start()
        return self.process

    def ready(self) -> bool:
        """Says whether it takes calls; which models it has is another question."""
        return answers(self.port) and self.responds()

    def responds(self) -> bool:
        """Says whether it answers at all."""
        return http_status(self.http_port, _METRICS, timeout=2) != 0
