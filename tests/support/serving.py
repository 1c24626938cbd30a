"""A model server and its model repository, which a test changes while it runs."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from labelmesh_local.ports import free_port

from tests.support.models import ensure
from tests.support.modelserver import ModelServerProcess


class ServedModels:
    """Tiny models behind a model server at `target`, the same after every start. It needs some seconds to start."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.repository = folder / "models"
        self.repository.mkdir(parents=True)
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        self._log = folder / "log"
        self._flags = flags
        self._process: ModelServerProcess | None = None
        self._served: dict[str, set[int]] = {}

    # --- what it serves ---

    def publish(self, source: str, *versions: int, name: str = "", number: int = 0) -> None:
        """Serves versions of one of the tiny models, under another name and (a single one) another number if asked to."""
        name = name or source
        for version in versions:
            folder = self.repository / name / str(number or version)
            incoming = self.repository / f".incoming-{name}"
            shutil.copytree(ensure() / source / str(version), incoming)
            folder.parent.mkdir(exist_ok=True)
            incoming.rename(folder)
            self._served.setdefault(name, set()).add(number or version)
        self._configure()

    def withdraw(self, name: str, *versions: int) -> None:
        """Serves these versions no more; the last one of a model takes the model with it."""
        self._served[name] -= set(versions)
        if not self._served[name]:
            del self._served[name]
        self._configure()

    def _configure(self) -> None:
        config = "model_config_list {\n"
        for name, versions in sorted(self._served.items()):
            specific = " ".join(f"versions: {version}" for version in sorted(versions))
            config += f'  config {{ name: "{name}" base_path: "{self.repository / name}" model_platform: "tensorflow" '
            config += f"model_version_policy {{ specific {{ {specific} }} }} }}\n"
        fresh = self.repository / ".models.config"
        fresh.write_text(config + "}\n")
        fresh.rename(self.repository / "models.config")

    # --- its life ---

    def start(self) -> None:
        """Returns when it serves what it shall."""
        config = f"--model_config_file={self.repository / 'models.config'}"
        polling = "--model_config_file_poll_wait_seconds=0.1", "--file_system_poll_wait_seconds=0.1"
        self._process = ModelServerProcess(self._log, config, *polling, *self._flags, port=self.port)

    def pause(self) -> None:
        """Makes it hang: it takes calls and is silent."""
        self._running.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends the hanging."""
        self._running.send(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._running.kill()
        self._process = None

    def stop(self) -> None:
        """Ends it as an operator would, if it runs."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def _running(self) -> ModelServerProcess:
        assert self._process is not None
        return self._process
