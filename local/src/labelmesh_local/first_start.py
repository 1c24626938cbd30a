"""What the first start does beside: the demo accounts, digits to label, and a model of them. Each step is done once and can be repeated."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import sysconfig
from pathlib import Path

from labelmesh_local.console import Console
from labelmesh_local.errors import LocalError
from labelmesh_local.home import Home, write_private
from labelmesh_local.parts import Plan, environment_with, run_module
from labelmesh_local.process import Process

DEMO_ACCOUNT = ("guest", "123456")
ADMIN_ACCOUNT = "admin"


class FirstStart:
    """Remembers in a file which steps are done; a step that failed is tried again on the next start."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._done: dict[str, bool] = {}
        self._loading: subprocess.Popen[bytes] | None = None
        self._digits_failed = False
        self._training: Process | None = None
        self._training_failed = False
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

    @property
    def model_wanted(self) -> bool:
        return self._plan.demo and self._plan.models and not self._done.get("model")

    def go_on(self) -> bool:
        """Loads the demo digits and then trains the first model, each in a process of its own; call it again while it returns True."""
        return self._load_digits() or self._train_model()

    def _load_digits(self) -> bool:
        if self._loading is None:
            if not self.digits_wanted or self._digits_failed:
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
            self._digits_failed = True
            self._console.say(f"The digits could not be loaded (see {self._log}); try again with `./mesh labelmesh demo digits`.")
        return False

    def _train_model(self) -> bool:
        if self._training is None:
            if not self.model_wanted or self._digits_failed or self._training_failed:
                return False
            self._console.say(
                "Training a model that reads digits, in the background (only now); `./mesh logs training` shows how far it is."
            )
            command = [str(client_command()), "train", "digits", "--if-none"]
            self._training = Process(
                "the first training",
                command,
                log=self._plan.home.log("training"),
                environment=environment_with(client_environment(self._plan)),
                inherit=False,
            )
            self._training.start()
        if self._training.running:
            return True
        if self._training.exit_code == 0:
            self._mark("model")
            self._console.say("The model is ready: it suggests labels and answers at /predict.")
        else:
            self._training_failed = True
            self._console.say(
                f"The model could not be trained (see {self._training.log}); labeling works without it. "
                "Try again with `./mesh labelmesh train digits`."
            )
        self._training = None
        return False

    @property
    def loading_digits(self) -> bool:
        """Whether the digits are still to come: wanted, and not given up."""
        return self.digits_wanted and not self._digits_failed

    def stop(self) -> None:
        """Ends what still goes on; it is done again on the next start."""
        if self._training is not None:
            self._training.stop(5)
        if self._loading is not None:
            self._loading.terminate()
            try:
                self._loading.wait(5)
            except subprocess.TimeoutExpired:
                self._loading.kill()
                self._loading.wait()

    def _mark(self, step: str) -> None:
        self._done[step] = True
        write_private(self._plan.home.progress, json.dumps(self._done))

    @property
    def _log(self) -> Path:
        return self._plan.home.log("demo")


def client_command() -> Path:
    """The `labelmesh` command of this environment."""
    return Path(sysconfig.get_path("scripts")) / "labelmesh"


def client_environment(plan: Plan) -> dict[str, str]:
    """Address and account of the local administrator, and the model repository, for the labelmesh command."""
    return command_environment(plan.home, plan.port)


def command_environment(home: Home, port: int) -> dict[str, str]:
    """The same for the mesh that runs on `home`."""
    return {
        "LABELMESH_ADDRESS": f"http://127.0.0.1:{port}",
        "LABELMESH_USER": ADMIN_ACCOUNT,
        "LABELMESH_PASSWORD": home.admin_password.read_text().strip(),
        "LABELMESH_MODELS": str(home.models),
    }
