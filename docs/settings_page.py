"""The page of all settings, written out of the code that reads them.

python -m docs.settings_page docs/settings.md
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from labelmesh_chassis.settings import SECRETS_DIR, Address, PostgresUrl
from labelmesh_client.command.main import build_parser
from labelmesh_gateway.settings import Endpoint
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

PROCESSES = {
    "auth": "labelmesh_auth.settings",
    "labeling": "labelmesh_labeling.settings",
    "inference": "labelmesh_inference.settings",
    "augment": "labelmesh_augment.settings",
    "gateway": "labelmesh_gateway.settings",
    "operations": "labelmesh_operations.settings",
}
"""Who reads settings by pydantic, and the module with its settings classes."""

SECRETS = {"s3_access_key"}
"""Kept with the secrets although it is shown in logs of any S3 server: an access key is of no use without its secret key."""

_UNITS = {
    "_s": "s",
    "_seconds": "s",
    "_days": "days",
    "_bytes": "bytes",
    "_kib": "KiB",
    "_mb": "MiB",
}
_COMMAND = "the command labelmesh"
_MESH = "./mesh"
_COMPOSE = "docker-compose.yml"


@dataclass(frozen=True)
class Setting:
    """One variable as one or several processes read it."""

    variable: str
    summary: str
    allowed: str
    default: str
    secret: bool
    readers: tuple[str, ...]


_OTHERS = (
    Setting(
        SECRETS_DIR,
        "A folder with a file for each setting that is not to be in the environment, named as its variable in small letters: "
        "`labelmesh_database_url`. What is in the environment goes first.",
        "folder",
        "none",
        False,
        ("auth", "labeling", "inference", "augment", "operations"),
    ),
    Setting("LABELMESH_HOME", "Where everything of the mesh on this machine lies.", "folder", "`.labelmesh`", False, (_MESH,)),
    Setting("LABELMESH_HOUSE", "The sources; `./mesh` sets it for the programs that it starts.", "folder", "set", False, (_MESH,)),
    Setting(
        "LABELMESH_HANG_SECONDS",
        "How long a part may be silent before it is killed and started again; 0 leaves it alone.",
        "number, at least 0, s",
        "`30`",
        False,
        (_MESH,),
    ),
    Setting(
        "LABELMESH_OTLP_HTTP_ENDPOINT",
        "The collector of `LABELMESH_OTLP_ENDPOINT`, by OTLP over HTTP: where browsers' spans are passed on to.",
        "host:port",
        "none",
        False,
        (_MESH,),
    ),
    Setting("LABELMESH_UP", "The arguments of `./mesh up` when systemd starts it.", "text", "`--no-demo`", False, ("systemd",)),
    Setting(
        "LABELMESH_BACKUP",
        "The arguments of `./mesh backup` when systemd starts it.",
        "text",
        "`/var/lib/labelmesh-backups --keep 14`",
        False,
        ("systemd",),
    ),
    Setting(
        "LABELMESH_BENCH_HOME",
        "Where the environments of the benchmarks' peers are made.",
        "folder",
        "`.labelmesh/bench`",
        False,
        ("./mesh bench",),
    ),
    Setting(
        "LABELMESH_URL",
        "The mesh that the web page calls while it is served from its sources (`npm run dev`).",
        "URL",
        "`http://localhost:8080`",
        False,
        ("npm run dev",),
    ),
)
"""What is read by hand, without a class of settings."""

_INTRODUCTION = """\
# Settings

<!-- Written by `python -m docs.settings_page docs/settings.md`; change the code, not this page. -->

Every process reads its settings from the environment at its start, and refuses to start with a list of everything that is wrong with them.
A setting is given as text: `true` or `false`, a number, an address as `host:port`; a list is separated by commas. *Required* means that
there is no default.

Secrets need not be in the environment. `{secrets_dir}` names a folder with a file for each, as Docker and Kubernetes mount them;
containers here get secrets in no other way. Any setting of a service may be given like that; those marked as secret should be.

Each process has its own values: `LABELMESH_DATABASE_URL` of auth is auth's database.
"""


def settings_of(process: str) -> dict[str, Setting]:
    """The settings that a process reads by pydantic, by variable."""
    found: dict[str, Setting] = {}
    for kind in settings_classes(process):
        prefix = str(kind.model_config.get("env_prefix", ""))
        for name, field in kind.model_fields.items():
            setting = _setting(prefix, name, field, process)
            # A command of the service may read a part of what the service does; that is the same setting.
            found.setdefault(setting.variable, setting)
    return found


def settings_classes(process: str) -> list[type[BaseSettings]]:
    """The settings classes that a process's own module defines, the largest first."""
    module = importlib.import_module(PROCESSES[process])
    own = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, BaseSettings)]
    return sorted((kind for kind in own if kind.__module__ == module.__name__), key=lambda kind: -len(kind.model_fields))


def all_settings() -> list[Setting]:
    """Every setting of every process, one entry for those that read it alike."""
    readers: dict[tuple[str, str, str, str, bool], list[str]] = {}
    for process in PROCESSES:
        for each in settings_of(process).values():
            readers.setdefault((each.variable, each.summary, each.allowed, each.default, each.secret), []).append(process)
    settings = [Setting(*key, tuple(processes)) for key, processes in readers.items()]
    return [*settings, *_of_the_command(), *_of_compose(), *_OTHERS]


def _of_compose() -> list[Setting]:
    """What .env.example says, but for what a service reads under the same name."""
    settings, summary = [], ""
    for line in (Path(__file__).resolve().parent.parent / ".env.example").read_text().splitlines():
        if found := re.fullmatch(r"#(LABELMESH_\w+)=(.*)", line):
            settings.append(Setting(found[1], summary, "text", f"`{found[2]}`" if found[2] else "none", False, (_COMPOSE,)))
        elif line.startswith("# "):
            summary = line.removeprefix("# ").strip()
    known = {setting.variable for process in PROCESSES for setting in settings_of(process).values()}
    return [setting for setting in settings if setting.variable not in known]


def page() -> str:
    """The whole page, Markdown."""
    by_readers: dict[tuple[str, ...], list[Setting]] = {}
    for setting in all_settings():
        by_readers.setdefault(setting.readers, []).append(setting)
    lines = [_INTRODUCTION.format(secrets_dir=SECRETS_DIR)]
    for readers in sorted(by_readers, key=_place):
        lines += [f"\n## {_title(readers)}\n\n", "| variable | what it says | allowed | default |\n| --- | --- | --- | --- |\n"]
        lines += (_row(setting) for setting in by_readers[readers])
    return "".join(lines)


def _place(readers: tuple[str, ...]) -> tuple[int, list[int]]:
    """What many read comes first, then in the order of the processes."""
    order = [*PROCESSES, _COMMAND, _MESH, _COMPOSE]
    return -len(readers), [order.index(reader) if reader in order else len(order) for reader in readers]


def _title(readers: tuple[str, ...]) -> str:
    *others, last = readers
    return (f"{', '.join(others)} and {last}" if others else last).removeprefix("the ").capitalize() if not last.startswith(".") else last


def _row(setting: Setting) -> str:
    secret = " **Secret.**" if setting.secret else ""
    return f"| `{setting.variable}` | {_cell(setting.summary)}{secret} | {_cell(setting.allowed)} | {setting.default} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _setting(prefix: str, name: str, field: FieldInfo, process: str) -> Setting:
    secret = name in SECRETS or SecretStr in _parts_of(field.annotation)
    return Setting(
        f"{prefix}{name}".upper(),
        (field.description or "").strip(),
        _allowed(name, field.annotation, field.metadata),
        "*required*" if field.is_required() else _default(field.default),
        secret,
        (process,),
    )


def _parts_of(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts_of(part)


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined or value in ((), "", frozenset()):
        return "none"
    if isinstance(value, tuple | frozenset):
        return f"`{','.join(str(each) for each in sorted(value))}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(name: str, annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _allowed(name, arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, UnionType):
        inner = [part for part in arguments if part is not NoneType]
        return " or ".join(dict.fromkeys(_allowed(name, part, metadata) for part in inner))
    if origin in (tuple, frozenset):
        return f"list: {_allowed(name, arguments[0], [])}"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if annotation is bool:
        return "`true`, `false`"
    if annotation in (int, float):
        return ", ".join(["whole number" if annotation is int else "number", *_range(metadata), *_unit(name)])
    if annotation is Path:
        return "path"
    return _text(annotation, metadata)


def _text(annotation: Any, metadata: list[Any]) -> str:
    kinds = {"host:port": _marks(Address) + _marks(Endpoint), "postgresql+psycopg2://...": _marks(PostgresUrl)}
    for kind, marks in kinds.items():
        if any(mark in marks or _marked_alike(mark, marks) for mark in metadata):
            return kind
    if isinstance(annotation, type) and issubclass(annotation, str | SecretStr):
        return "text"
    return {"IPv4Network": "network", "IPv6Network": "network"}.get(getattr(annotation, "__name__", ""), "text")


def _marks(kind: Any) -> list[Any]:
    return list(get_args(kind)[1:])


def _marked_alike(mark: Any, marks: list[Any]) -> bool:
    """Whether a constraint of a field is one that a named kind of text brings along, e.g. its pattern."""
    pattern = getattr(mark, "pattern", None)
    constraints = (constraint for each in marks for constraint in getattr(each, "metadata", [each]))
    return pattern is not None and any(pattern == getattr(constraint, "pattern", None) for constraint in constraints)


def _range(metadata: list[Any]) -> Iterator[str]:
    lowest = next((mark for mark in metadata if isinstance(mark, Ge | Gt)), None)
    highest = next((mark for mark in metadata if isinstance(mark, Le | Lt)), None)
    low = None if lowest is None else (_number(lowest.ge) if isinstance(lowest, Ge) else f"more than {_number(lowest.gt)}")
    high = None if highest is None else (_number(highest.le) if isinstance(highest, Le) else f"less than {_number(highest.lt)}")
    if low is not None and high is not None:
        yield f"{low} to {high}"
    elif low is not None:
        yield low if isinstance(lowest, Gt) else f"at least {low}"
    elif high is not None:
        yield f"at most {high}"


def _number(value: Any) -> str:
    return f"{value:,}"


def _unit(name: str) -> Iterator[str]:
    yield from (unit for ending, unit in _UNITS.items() if name.endswith(ending))


def _of_the_command() -> list[Setting]:
    """What the command's own help says of the environment."""
    help_text = (build_parser().epilog or "").partition("environment:\n")[2].partition("\n\n")[0]
    settings = []
    for line in help_text.splitlines():
        names, _, summary = line.strip().partition("  ")
        for name in re.split(r",\s*", names):
            secret = name in ("LABELMESH_API_KEY", "LABELMESH_PASSWORD")
            settings.append(Setting(name, _sentence(summary.strip()), "text", "none", secret, (_COMMAND,)))
    return settings


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def variables() -> Mapping[str, Setting]:
    """Every setting by its variable."""
    return {setting.variable: setting for setting in all_settings()}


def main(arguments: list[str]) -> int:
    """Writes the page, to standard output where no file is named."""
    if len(arguments) > 1:
        print("Name the file to write, or none to see the page.", file=sys.stderr)
        return 2
    if arguments:
        Path(arguments[0]).write_text(page())
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
