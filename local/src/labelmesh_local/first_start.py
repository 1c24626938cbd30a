"""What the first start does beside: the demo accounts, and real digits to label. Each step is done once and can be repeated."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import sysconfig
from pathlib import Path

from labelmesh_local.console import Console
from labelmesh_local.errors import LocalError
from labelmesh_local.home import write_private
from labelmesh_local.parts import Plan, environment_with, run_module

DEMO_ACCOUNT = ("guest", "123456")
ADMIN_ACCOUNT = "admin"


class FirstStart:
    """Remembers in a file which steps are done; a step that failed is tried again on the next start."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._done: dict[str, bool] = {}
        self._loading: subprocess.Popen[bytes] | None = None
        try:
            self._done = json.loads(plan.home.progress.read_text())
        except (OSError, ValueError):
            self._done = {}

    def make_accounts(self) -> bool:
        """Makes the administrator and, for the demo, the guest. Returns True if the administrator is new. Raises LocalError."""
        is_new = not self._done.get("admin")
        if is_new:
            path = self._plan.home.admin_password
            if not path.exists():
                write_private(path, secrets.token_urlsafe(12) + "\n")
            self._make_account(ADMIN_ACCOUNT, "admin", path.read_text().strip())
            self._mark("admin")
        if self._plan.demo and not self._done.get("guest"):
            self._make_account(DEMO_ACCOUNT[0], "annotator", DEMO_ACCOUNT[1], "--demo")
            self._mark("guest")
        return is_new

    def _make_account(self, name: str, role: str, password: str, *more: str) -> None:
        arguments = ("create-user", "--name", name, "--role", role, "--password-stdin", *more)
        done = run_module("labelmesh_auth", *arguments, environment=self._plan.service_environment("auth"), stdin=password)
        if done.returncode != 0:
            raise LocalError(f"The account {name} could not be made:\n{(done.stderr or done.stdout).strip()[-2000:]}")

    @property
    def digits_wanted(self) -> bool:
        return self._plan.demo and not self._done.get("digits")

    def load_digits(self) -> bool:
        """Loads the demo digits in a process of its own; call it again while it returns True."""
        if self._loading is None:
            if not self.digits_wanted:
                return False
            self._console.say("Loading 1,797 handwritten digits for the demo (only now, on the first start) ...")
            command = [str(client_command()), "demo", "digits"]
            environment = environment_with(client_environment(self._plan))
            with self._log.open("ab") as log:
                # A person sees its progress; where nobody looks it goes into the log.
                output, errors = (None, None) if sys.stdout.isatty() else (log, subprocess.STDOUT)
                self._loading = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment)
        code = self._loading.poll()
        if code is None:
            return True
        self._loading = None
        if code == 0:
            self._mark("digits")
            self._console.say("The digits are there.")
        else:
            self._console.say(f"The digits could not be loaded (see {self._log}); try again with `./mesh labelmesh demo digits`.")
        return False

    @property
    def _log(self) -> Path:
        return self._plan.home.log("demo")

    def stop(self) -> None:
        """Ends the loading; it goes on where it was on the next start."""
        if self._loading is not None and self._loading.poll() is None:
            self._loading.terminate()
            try:
                self._loading.wait(5)
            except subprocess.TimeoutExpired:
                self._loading.kill()
                self._loading.wait()

    def _mark(self, step: str) -> None:
        self._done[step] = True
        write_private(self._plan.home.progress, json.dumps(self._done))


def client_command() -> Path:
    """The `labelmesh` command of this environment."""
    return Path(sysconfig.get_path("scripts")) / "labelmesh"


def client_environment(plan: Plan) -> dict[str, str]:
    """Address and account of the local administrator, for the labelmesh command."""
    return local_administrator(plan.port, plan.home.admin_password)


def local_administrator(port: int, password: Path) -> dict[str, str]:
    return {
        "LABELMESH_ADDRESS": f"http://127.0.0.1:{port}",
        "LABELMESH_USER": ADMIN_ACCOUNT,
        "LABELMESH_PASSWORD": password.read_text().strip(),
    }
