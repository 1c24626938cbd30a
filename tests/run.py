"""`./mesh test [SUITE ...] [pytest arguments]`: runs the suites one after another and sums them up.

Suites: lint (ruff, import rules, protos, web), types (mypy --strict, tsc), web (its unit tests), unit,
platform (manifests, images' recipes, rules, workflows), integration, e2e. None or `all`: everything.

Only when asked for: containers, or --containers (the images built and docker-compose.yml run, as root, by Debian's docker).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
WEB = HOUSE / "web"
SCRIPTS = Path(sys.executable).parent
SUITES = ("lint", "types", "web", "unit", "platform", "integration", "e2e")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROMETHEUS = HOUSE / ".labelmesh" / "prometheus"
_NO_TESTS = 5


@dataclass(frozen=True)
class Outcome:
    """One check: what it was, whether it passed, what it says about itself."""

    suite: str
    title: str
    passed: bool
    seconds: float
    tests: int = 0
    failures: int = 0
    skipped: int = 0


def _command(suite: str, title: str, command: Sequence[str], folder: Path = HOUSE) -> Outcome:
    print(f"\n-- {suite}: {title}", flush=True)
    began = time.monotonic()
    code = subprocess.run(list(command), cwd=folder, check=False).returncode
    return Outcome(suite, title, code == 0, time.monotonic() - began)


def _python_sources() -> list[str]:
    """Everything that is Python, for the tools that want to be told."""
    folders = [
        *sorted(HOUSE.glob("services/*/src")),
        *(HOUSE / name / "src" for name in ("client", "gateway", "local", "operations", "training")),
    ]
    folders += [
        HOUSE / "local" / "setup",
        HOUSE / "tests",
        HOUSE / "benchmarks",
        HOUSE / "images",
        HOUSE / "compose",
        HOUSE / "docs",
        HOUSE / "monitoring",
        HOUSE / ".github" / "one_label.py",
        HOUSE / "k8s" / "components" / "models-from-objects" / "refetch.py",
        HOUSE / "protos" / "generate.py",
        HOUSE / "mesh",
    ]
    return [str(path.relative_to(HOUSE)) for path in folders if path.exists()]


def _npm(suite: str, script: str) -> list[Outcome]:
    if not (WEB / "package.json").exists():
        return []
    return [_command(suite, f"web: npm run {script}", ["npm", "run", "--silent", script], WEB)]


def lint(arguments: Sequence[str]) -> list[Outcome]:
    return [
        _command("lint", "ruff check", [str(SCRIPTS / "ruff"), "check", "."]),
        _command("lint", "ruff format --check", [str(SCRIPTS / "ruff"), "format", "--check", "."]),
        _command("lint", "import rules", [str(SCRIPTS / "lint-imports")]),
        *_npm("lint", "lint:proto"),
        *_npm("lint", "lint"),
    ]


def types(arguments: Sequence[str]) -> list[Outcome]:
    return [_command("types", "mypy --strict", [str(SCRIPTS / "mypy"), *_python_sources()]), *_npm("types", "typecheck")]


def web(arguments: Sequence[str]) -> list[Outcome]:
    return _npm("web", "test")


def _pytest(suite: str, *options: str) -> Callable[[Sequence[str]], list[Outcome]]:
    def run(arguments: Sequence[str]) -> list[Outcome]:
        paths = [argument for argument in arguments if not argument.startswith("-") and Path(argument.partition("::")[0]).exists()]
        where = [] if paths else [f"tests/{suite}"]
        if where and not (HOUSE / where[0]).exists():
            return []
        print(f"\n-- {suite}: pytest", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="labelmesh-tests-") as scratch:
            report = Path(scratch) / "report.xml"
            command = [sys.executable, "-m", "pytest", *where, f"--junitxml={report}", *options, *arguments]
            code = subprocess.run(command, cwd=HOUSE, check=False).returncode
            tests, failures, skipped = _counts(report)
        passed = code == 0 or (code == _NO_TESTS and tests == 0 and not arguments)
        return [Outcome(suite, "pytest", passed, time.monotonic() - began, tests, failures, skipped)]

    return run


def _counts(report: Path) -> tuple[int, int, int]:
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    total = {name: sum(int(suite.get(name) or 0) for suite in suites) for name in ("tests", "failures", "errors", "skipped")}
    return total["tests"], total["failures"] + total["errors"], total["skipped"]


def chromium() -> str | None:
    """Path of a Chromium or Chrome on this machine."""
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


def _browser_is_wanted() -> bool:
    return any("playwright" in path.read_text() for path in (HOUSE / "tests" / "e2e").rglob("*.py"))


def _with_apt(title: str, commands: Sequence[Sequence[str]], folder: Path = HOUSE) -> Outcome:
    """Runs commands one after another, the first that fails is the last; their output is shown only then."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    began = time.monotonic()
    for command in commands:
        done = subprocess.run(list(command), cwd=folder, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            print(done.stdout[-2000:] + done.stderr[-2000:], flush=True)
            return Outcome("install", title, False, time.monotonic() - began)
    return Outcome("install", title, True, time.monotonic() - began)


def install_chromium() -> Outcome | None:
    """Installs Debian's Chromium where a test needs it, nobody has it, and we may; None if there is nothing to do."""
    if chromium() or not _browser_is_wanted():
        return None
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        print(
            "\nThe browser tests need Chromium: install it (Debian, Ubuntu: sudo apt-get install chromium) and run this again.", flush=True
        )
        return Outcome("install", "chromium is missing", False, 0.0)
    print("\n-- install: Chromium with apt-get", flush=True)
    return _with_apt("chromium", [[apt, "update"], [apt, "install", "-y", "--no-install-recommends", "chromium"]])


def prometheus_is_here() -> bool:
    """Whether this machine has Prometheus and promtool, or a run before has unpacked them."""
    places = os.pathsep.join([str(PROMETHEUS / "usr" / "bin"), os.environ.get("PATH", "")])
    return all(shutil.which(name, path=places) for name in ("prometheus", "promtool"))


def fetch_prometheus() -> Outcome | None:
    """Unpacks Debian's package into .labelmesh, where no service of it is started; that needs no rights. None if there is nothing to do."""
    if prometheus_is_here():
        return None
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        print("\nThe tests of alerts and dashboards need prometheus and promtool: install them and run this again.", flush=True)
        return Outcome("install", "prometheus is missing", False, 0.0)
    print("\n-- install: Debian's Prometheus, unpacked into .labelmesh", flush=True)
    shutil.rmtree(PROMETHEUS, ignore_errors=True)
    PROMETHEUS.mkdir(parents=True)
    commands = [[apt, "download", "prometheus"], ["sh", "-c", f"{dpkg} -x prometheus_*.deb . && rm prometheus_*.deb"]]
    if os.geteuid() == 0:
        commands = [[apt, "update"], *commands]
    done = _with_apt("prometheus", commands, PROMETHEUS)
    if not done.passed:
        print("\nInstall the package prometheus (sudo apt-get update; sudo apt-get install prometheus) and run this again.", flush=True)
    return done


def platform(arguments: Sequence[str]) -> list[Outcome]:
    fetched = fetch_prometheus()
    return [*([fetched] if fetched is not None else []), *_pytest("platform", "-n", "2")(arguments)]


def e2e(arguments: Sequence[str]) -> list[Outcome]:
    installed = [outcome for outcome in (install_chromium(), fetch_prometheus()) if outcome is not None]
    return [*installed, *_pytest("e2e")(arguments)]


RUN: dict[str, Callable[[Sequence[str]], list[Outcome]]] = {
    "lint": lint,
    "types": types,
    "web": web,
    "unit": _pytest("unit", "-n", "2"),
    "platform": platform,
    # A file is run by one worker: its tests may share what it started.
    "integration": _pytest("integration", "-n", "2", "--dist", "loadfile"),
    "e2e": e2e,
    # One after another: they share one engine and one mesh.
    "containers": _pytest("containers"),
}


def summary(outcomes: Sequence[Outcome], seconds: float) -> tuple[list[str], bool]:
    """The lines at the end, and whether everything passed."""
    lines = []
    for outcome in outcomes:
        counted = f"  {outcome.tests - outcome.failures - outcome.skipped} of {outcome.tests} tests passed" if outcome.tests else ""
        lines.append(
            f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.suite:<12} {outcome.title:<28} {outcome.seconds:7.1f} s{counted}"
        )
    tests = sum(outcome.tests for outcome in outcomes)
    failures = sum(outcome.failures for outcome in outcomes)
    skipped = sum(outcome.skipped for outcome in outcomes)
    broken = sum(not outcome.passed for outcome in outcomes)
    words = [f"{failures} failed"] if failures else []
    words.append(f"{tests - failures - skipped} passed")
    words += [f"{skipped} skipped"] if skipped else []
    words.append(f"{broken} of {len(outcomes)} checks failed" if broken else f"all {len(outcomes)} checks ok")
    text = f" {', '.join(words)} in {seconds:.0f} s ({int(seconds) // 60}:{int(seconds) % 60:02d}) "
    lines.append(f"{text:=^100}")
    return lines, broken == 0 and bool(outcomes)


def main(arguments: Sequence[str]) -> int:
    """Runs what the arguments name; 0 if everything passed."""
    arguments = ["containers" if argument == "--containers" else argument for argument in arguments]
    names = list(dict.fromkeys(argument for argument in arguments if argument in (*SUITES, "containers", "all")))
    rest = [argument for argument in arguments if argument not in names]
    if not names or "all" in names:
        # `./mesh test tests/unit/auth` means these tests, not every tool.
        names = ["unit"] if any(Path(argument.partition("::")[0]).exists() for argument in rest) else list(SUITES)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for name in names:
        outcomes += RUN[name](rest)
    lines, passed = summary(outcomes, time.monotonic() - began)
    print("\n" + "\n".join(lines), flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    os.chdir(HOUSE)
    sys.exit(main(sys.argv[1:]))
