"""What containers are told is what the code reads: every variable, secret, port, command and image."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from labelmesh_augment.settings import AugmentSettings
from labelmesh_auth.settings import AuthSettings, DatabaseSettings
from labelmesh_chassis.settings import ServiceSettings, load_settings
from labelmesh_client.command.main import build_parser
from labelmesh_gateway.settings import GatewaySettings
from labelmesh_inference.settings import InferenceSettings
from labelmesh_labeling.settings import LabelingSettings
from labelmesh_local.home import Home, Secrets
from labelmesh_local.parts import SERVICES, Plan
from labelmesh_operations.settings import StoreSettings
from pydantic_settings import BaseSettings

from docs import settings_page
from tests.platform.consistency.containers import Container, containers, images, made_secrets
from tests.platform.consistency.house import HOUSE

_SERVING: dict[str, type[BaseSettings]] = {
    "labelmesh_auth": AuthSettings,
    "labelmesh_labeling": LabelingSettings,
    "labelmesh_inference": InferenceSettings,
    "labelmesh_augment": AugmentSettings,
    "labelmesh_gateway": GatewaySettings,
}
_COMMANDS: dict[str, type[BaseSettings]] = {
    "migrate": ServiceSettings,
    "create-user": DatabaseSettings,
    "models": StoreSettings,
}
# The command labelmesh reads its variables by hand, `secrets` makes what others read, and the operations of docker-compose are asked for.
_WITHOUT_CLASS = {"labelmesh_client", "labelmesh_modelserver"}
_SCRIPTS = {"LABELMESH_DEMO", "LABELMESH_BIND"}
"""Read by the scripts of compose/."""

OURS = [container for container in containers() if container.module]
TOLD = [
    container
    for container in OURS
    if container.module not in _WITHOUT_CLASS and container.program[1:2] != ("secrets",) and container.name != "operations"
]


def settings_class(container: Container) -> type[BaseSettings]:
    """The class that the program of a container loads."""
    command = next((word for word in container.program[1:] if word in _COMMANDS), "")
    return _COMMANDS[command] if command else _SERVING[container.module]


@contextmanager
def environment(container: Container, folder: Path) -> Iterator[None]:
    """This process with a container's variables and secret files instead of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LABELMESH_")]:
            patch.delenv(name)
        for name, value in container.settings.items():
            patch.setenv(name, value)
        if "LABELMESH_SECRETS_DIR" in container.settings:
            patch.setenv("LABELMESH_SECRETS_DIR", str(folder))
            values = {path.name: path.read_text() for part in made_secrets().iterdir() for path in part.iterdir()}
            for name in container.secrets:
                (folder / name).write_text(values[name])
        yield


def variables_read(container: Container) -> dict[str, settings_page.Setting]:
    """The variables that the program of a container reads, whichever of its commands is run."""
    return _variables_read(container.module)


@cache
def _variables_read(module: str) -> dict[str, settings_page.Setting]:
    process = module.removeprefix("labelmesh_")
    if module in _WITHOUT_CLASS:
        return {each.variable: each for each in settings_page.all_settings() if "the command labelmesh" in each.readers}
    shared = {each.variable: each for each in settings_page.all_settings() if process in each.readers}
    return shared | settings_page.settings_of(process)


def test_there_is_something_to_look_at() -> None:
    places = {container.place for container in TOLD}
    assert len(places) == 4
    for place in places:
        assert {container.module for container in TOLD if container.place == place} >= set(_SERVING), place


@pytest.mark.parametrize("container", TOLD, ids=str)
def test_a_container_s_settings_load(container: Container, tmp_path: Path) -> None:
    with environment(container, tmp_path):
        load_settings(settings_class(container))


# In docker-compose a volume is mounted whole, also into what needs one file of it.
@pytest.mark.parametrize(
    "container", [each for each in TOLD if each.secrets and (each.place != "docker-compose" or not each.program[1:])], ids=str
)
def test_a_container_does_not_start_without_one_of_its_secrets(container: Container, tmp_path: Path) -> None:
    """So that none is mounted which nobody reads."""
    for number, name in enumerate(sorted(container.secrets)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with environment(container, folder):
            (folder / name).unlink()
            with pytest.raises(SystemExit):
                load_settings(settings_class(container))


def test_containers_are_told_nothing_that_their_program_does_not_read() -> None:
    unread = {
        f"{container}: {name}"
        for container in OURS
        for name in container.settings
        if name.startswith("LABELMESH_") and name not in variables_read(container).keys() | _SCRIPTS
    }
    assert not unread


def test_secrets_are_files_and_nothing_else_is() -> None:
    for container in OURS:
        read = variables_read(container)
        in_the_open = {name for name in container.settings if name in read and read[name].secret}
        assert not in_the_open, f"{container}: {in_the_open}"
        for name in container.secrets:
            assert read[name.upper()].secret, f"{container}: {name}"


def test_ports_are_those_that_the_program_is_told_to_listen_on() -> None:
    for container in TOLD:
        told = {int(value.rpartition(":")[2]) for name, value in container.settings.items() if re.search("(^|_)LISTEN$", name)}
        if container.place != "docker-compose" and container.program[1:] == () and container.ports:
            assert container.ports == told, container
    gateways = [container for container in containers() if container.image == "labelmesh/gateway"]
    assert len(gateways) == 4
    for gateway in gateways:
        (config,) = (
            each for each in TOLD if each.place == gateway.place and each.module == "labelmesh_gateway" and "render" in each.program
        )
        told = {int(config.settings[f"LABELMESH_GATEWAY_{name}"].rpartition(":")[2]) for name in ("LISTEN", "OPS_LISTEN")}
        assert gateway.ports <= told, gateway


def test_every_image_of_ours_that_is_used_is_built_and_the_reverse() -> None:
    used = {container.image.removeprefix("labelmesh/") for container in containers() if container.image.startswith("labelmesh/")}
    assert used <= set(images())
    # On arm64 only, by a file of its own.
    assert set(images()) - used == {"modelserver"}
    assert "labelmesh/modelserver" in (HOUSE / "compose" / "modelserver.yml").read_text()


@pytest.mark.parametrize("container", [each for each in OURS if each.program[1:]], ids=str)
def test_the_commands_of_containers_exist(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """Their options too: a program is asked how it is used, which it says only where it understands what comes before."""
    words = list(container.program[1:])
    with pytest.raises(SystemExit) as ended:
        if container.module == "labelmesh_client":
            build_parser(words).parse_args([*words, "--help"])
        else:
            importlib.import_module(f"{container.module}.__main__").main([*words, "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    assert not [word for word in words if word.startswith("--") and word not in usage]


# --- the local mesh ---


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan.made(Home(tmp_path), HOUSE, Secrets.made(), 8080, demo=True, models=True)


@pytest.mark.parametrize("part", [*SERVICES, "gateway"])
def test_the_local_mesh_tells_its_parts_what_they_read(plan: Plan, part: str, tmp_path: Path) -> None:
    told = plan.gateway_environment() if part == "gateway" else plan.service_environment(part)
    program = (f"labelmesh_{part}",)
    container = Container("local", part, part, "", program, told, frozenset(), frozenset(), 0)
    with environment(container, tmp_path):
        load_settings(settings_class(container))
    assert {name for name in told if name.startswith("LABELMESH_")} <= variables_read(container).keys()
