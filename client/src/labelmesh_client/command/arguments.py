"""What the parsers of all commands share."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable

from labelmesh_client.command.access import add_access_arguments
from labelmesh_client.command.terminal import Terminal

Handler = Callable[[argparse.Namespace, Terminal], int]
Commands = argparse._SubParsersAction  # the type argparse gives its groups of commands has no public name


def add_group(commands: Commands[argparse.ArgumentParser], name: str, summary: str, *, more: str = "") -> Commands[argparse.ArgumentParser]:
    """A command that only has commands of its own, e.g. `labelmesh projects`; `more` is said in its own help alone."""
    parser = commands.add_parser(name, help=summary, description=f"{summary} {more}".strip())
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    summary: str,
    handler: Handler,
    *,
    more: str = "",
    examples: tuple[str, ...] = (),
) -> argparse.ArgumentParser:
    """A command with the arguments for address and credentials, and examples in its help."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(f"{summary} {more}".strip(), 100),
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    add_access_arguments(parser)
    return parser


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, one value a line")


def add_project_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="NAME", required=True, help="the project, by name or id")


def positive(text: str) -> int:
    """An argument that is a whole number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def workers(text: str) -> int:
    """An argument that is a number of batches to send at once, 1 to 64."""
    number = int(text)
    if not 1 <= number <= 64:
        raise ValueError(text)
    return number


def share(text: str) -> float:
    """An argument that is a number from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number


def not_negative(text: str) -> int:
    """An argument that is a whole number from 0."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
