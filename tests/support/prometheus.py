"""A real Prometheus on a free loopback port, and its promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from labelmesh_local.ports import free_port

HOUSE = Path(__file__).resolve().parents[2]
RULES = HOUSE / "monitoring" / "rules" / "labelmesh.yaml"
# Where `./mesh test` unpacks Debian's package.
_UNPACKED = HOUSE / ".labelmesh" / "prometheus" / "usr" / "bin"
_START_S = 60.0


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`: of this machine, or unpacked by `./mesh test`."""
    found = shutil.which(name, path=str(_UNPACKED)) or shutil.which(name)
    assert found is not None, f"there is no {name}: ./mesh test fetches it, or install Debian's package prometheus"
    return found


def rules_for_tests() -> dict[str, Any]:
    """The rules without what only costs time: intervals of their own, and texts."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return rules


class Prometheus:
    """Reads figures every second and goes by the rules, between `start` and `stop`."""

    def __init__(self, folder: Path, scrapes: list[dict[str, Any]]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules_for_tests()))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": scrapes,
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))

    def start(self) -> None:
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            assert self._process.poll() is None and time.monotonic() < deadline, (self._folder / "log").read_text()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def get(self, path: str, **query: str) -> Any:
        """The data of an answer of its API; AssertionError with what it says against the question."""
        address = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=20) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise AssertionError(f"{query}: {refusal.read().decode()[:500]}") from refusal

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def names(self) -> set[str]:
        """Of all metrics it has seen."""
        return set(self.get("label/__name__/values"))

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False
