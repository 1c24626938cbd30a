"""`labelmesh model add`: from a folder to a version that answers, with every check on the way."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from labelmesh.inference.v1 import manifests_pb2

from labelmesh_client.client import Client
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, positive
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError, NotFound, SourceError, Unavailable
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.manifests import read_manifest
from labelmesh_client.models import Check, CheckOutcome, Model, Registration, VersionState
from labelmesh_client.repository import MANIFEST_NAME, ModelRepository
from labelmesh_client.streams import patiently
from labelmesh_client.trainings import TrainingState

_POLL_S = 0.5
#: One that no model has.
_NO_VERSION = 2**62
_SAY_EVERY_S = 10.0
#: The check that the model server has the version; the others stand on it.
_SERVED = "served"
_EXAMPLE = """\
  model: animals
  input: {kind: pixels, width: 224, height: 224, scale: 0.00392156862745098}
  classes: {activation: softmax}
  labels: [fox, deer, badger]"""


@dataclass(frozen=True)
class _Candidate:
    """A SavedModel's folder and what its manifest says."""

    folder: Path
    manifest: manifests_pb2.ModelManifest


def add(group: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        group,
        "add",
        "Check a model end to end, and register it.",
        add_models,
        more=f"DIR is a SavedModel with its manifest in {MANIFEST_NAME}, or a folder of such. It is copied into the model repository as "
        "the next version, loaded by the model server, and tried from its signature to a prediction. When a check fails, the version is "
        "taken out again. API keys need the scopes inference.read and inference.manage.",
        examples=(
            "labelmesh model add mobilenet/ --repository /srv/models --sample fox.jpg",
            "labelmesh model add mobilenet/ --alias canary",
            "labelmesh model add mobilenet/ --check-only",
        ),
    )
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument(
        "--repository", metavar="DIR", type=Path, help="the folder that the model server reads (default: $LABELMESH_MODELS)"
    )
    parser.add_argument(
        "--served-path",
        metavar="PATH",
        help="where the model server sees that folder, if elsewhere (default: as configured, else the same)",
    )
    parser.add_argument(
        "--version", metavar="N", type=positive, help="the number it gets (default: its folder's where free, else the next)"
    )
    parser.add_argument("--sample", metavar="FILE", type=Path, help="a JPEG or PNG to try it with (default: a made-up picture)")
    parser.add_argument("--alias", metavar="NAME", action="append", default=[], help="point this alias at it; may be repeated")
    parser.add_argument("--check-only", action="store_true", help="register nothing, and take it out again")
    parser.add_argument("--keep", action="store_true", help="leave the version in the repository also when a check fails")
    parser.add_argument(
        "--wait", metavar="S", type=positive, default=120, help="how long the model server may take to load it (default: 120)"
    )


def add_models(arguments: argparse.Namespace, terminal: Terminal) -> int:
    candidates = _find(arguments.folder)
    if arguments.version is not None and len(candidates) > 1:
        raise ConfigurationError(f"{arguments.folder} has {len(candidates)} versions; --version is for one.")
    repository = _repository(arguments, terminal)
    sample = _read_sample(arguments.sample) if arguments.sample is not None else b""
    failed = 0
    with open_client(arguments, terminal.environment) as client:
        for candidate in candidates:
            adding = _Adding(client, terminal, repository, arguments, candidate, sample)
            failed += not adding.run()
    return 1 if failed else 0


def _find(folder: Path) -> list[_Candidate]:
    if (folder / "saved_model.pb").is_file():
        folders = [folder]
    elif folder.is_dir():
        inside = [one for one in folder.iterdir() if (one / "saved_model.pb").is_file()]
        folders = sorted(inside, key=lambda one: (not one.name.isdecimal(), int(one.name) if one.name.isdecimal() else 0, one.name))
    else:
        raise SourceError(f"There is no folder {folder}.")
    if not folders:
        raise SourceError(f"{folder} is no SavedModel and has none: a SavedModel has a file saved_model.pb.")
    return [_Candidate(one, _manifest(one)) for one in folders]


def _manifest(folder: Path) -> manifests_pb2.ModelManifest:
    path = folder / MANIFEST_NAME
    if not path.exists():
        raise SourceError(f"{folder} has no manifest. Write {path}, for a classifier e.g.:\n{_EXAMPLE}")
    manifest = read_manifest(path)
    if not manifest.model:
        raise SourceError(f"{path} does not say which model it is of: model: NAME.")
    return manifest


def _repository(arguments: argparse.Namespace, terminal: Terminal) -> ModelRepository:
    path = arguments.repository or terminal.environment.get("LABELMESH_MODELS") or None
    if path is None:
        raise ConfigurationError("Where is the model repository? Say --repository DIR, or set LABELMESH_MODELS.")
    if not Path(path).is_dir():
        raise ConfigurationError(f"There is no model repository at {path}.")
    return ModelRepository(path, served_path=arguments.served_path)


def _read_sample(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(f"{path} has more than {MAX_FILE_BYTES:,} bytes (16 MiB).")
    return content


class _Adding:
    """One version on its way from a folder to a registered version."""

    def __init__(
        self,
        client: Client,
        terminal: Terminal,
        repository: ModelRepository,
        arguments: argparse.Namespace,
        candidate: _Candidate,
        sample: bytes,
    ) -> None:
        self._client = client
        self._terminal = terminal
        self._repository = repository
        self._arguments = arguments
        self._candidate = candidate
        self._manifest = candidate.manifest
        self._name = candidate.manifest.model
        self._sample = sample

    def run(self) -> bool:
        """Whether it is registered, or with --check-only would be."""
        known = self._known()
        # The manifest is held against the contract's rules before anything is copied.
        self._await_answer(lambda: self._check(validate_only=True, version=_NO_VERSION))
        version = self._number(known)
        keep = known.needed_versions if known is not None else ()
        folder = self._repository.publish(self._name, version, self._candidate.folder, keep)
        self._terminal.say(f"{self._candidate.folder} is version {version} of {self._name} in {folder.parent.parent}")
        stays = False
        try:
            self._wait_until_served(version)
            checked = self._check(validate_only=self._arguments.check_only, version=version)
            self._show(checked.checks)
            stays = checked.passed and not self._arguments.check_only
        finally:
            if not stays and not self._arguments.keep:
                self._repository.remove(self._name, version, keep)
        self._conclude(checked, version)
        return checked.passed

    def _known(self) -> Model | None:
        try:
            return self._client.models.get(self._name)
        except NotFound:
            return None

    def _number(self, known: Model | None) -> int:
        if self._arguments.version is not None:
            return int(self._arguments.version)
        # Numbers that were ever given are not given again, also those that a training will use.
        taken = {*self._repository.versions(self._name), *(one.version for one in (known.versions if known is not None else ()))}
        taken |= {one.version for one in self._client.trainings.list(self._name) if one.state is TrainingState.RUNNING}
        own = self._candidate.folder.resolve().name
        if own.isascii() and own.isdecimal() and int(own) > 0 and int(own) not in taken:
            return int(own)
        return self._repository.next_version(self._name, at_least=max(taken, default=0) + 1)

    def _check(self, *, validate_only: bool, version: int) -> Registration:
        aliases = () if validate_only else self._arguments.alias
        return self._client.models.register(
            self._manifest, version=version, sample=self._sample, aliases=aliases, validate_only=validate_only
        )

    def _await_answer(self, ask: Callable[[], object]) -> None:
        patiently(self._client.services.connection, ask, patience_s=self._arguments.wait)

    def _wait_until_served(self, version: int) -> None:
        """Returns when the model server has the version, cannot load it, or takes too long: the checks then say so."""
        started = said = time.monotonic()
        while (now := time.monotonic()) - started < self._arguments.wait:
            try:
                checks = self._check(validate_only=True, version=version).checks
                served = next((one for one in checks if one.name == _SERVED), None)
                if served is None or served.outcome is CheckOutcome.PASSED or self._is_given_up(version, served):
                    return
                doing = served.message
            except Unavailable as error:
                doing = str(error)
            if now - said >= _SAY_EVERY_S:
                said = now
                self._terminal.say(f"waiting for the model server, {now - started:.0f} s by now: {doing}")
            self._client.services.connection.pause(_POLL_S)

    def _is_given_up(self, version: int, served: Check) -> bool:
        """Whether the model server said why it cannot load it."""
        known = self._known()
        one = known.version(version) if known is not None else None
        if one is None:
            return f"version {version} is absent: " in served.message
        return one.state is VersionState.ABSENT and bool(one.state_message)

    def _show(self, checks: Iterable[Check]) -> None:
        tick, cross = ("✓", "✗") if _can_show(self._terminal, "✓✗") else ("ok", "FAILED")
        signs = {CheckOutcome.PASSED: tick, CheckOutcome.FAILED: cross, CheckOutcome.NOT_REACHED: "-"}
        for check in checks:
            message = check.message or ("not looked at" if check.outcome is CheckOutcome.NOT_REACHED else "")
            self._terminal.print(f"{signs[check.outcome]} {check.name}: {message}")

    def _conclude(self, checked: Registration, version: int) -> None:
        say = self._terminal.say
        if checked.passed and self._arguments.check_only:
            say(f"All checks passed; nothing was registered{', and the version was left' if self._arguments.keep else ''}.")
        elif checked.passed:
            aliases = ", ".join(checked.version.aliases) if checked.version is not None else ""
            say(f"Registered version {version} of {self._name}{f', which is {aliases}' if aliases else ''}.")
        elif self._arguments.keep:
            say(f"Nothing was registered; version {version} of {self._name} is still in the repository.")
        else:
            say("Nothing was registered, and the version was taken out of the repository again.")


def _can_show(terminal: Terminal, text: str) -> bool:
    try:
        text.encode(getattr(terminal.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
