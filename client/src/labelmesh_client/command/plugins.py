"""Commands that other distributions bring along, by entry points, and what to install where one is missing.

They are loaded only where the command that was chosen may be theirs, or all are to be shown: what they import need not be waited for else.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from labelmesh_client.command.arguments import Commands
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError

#: Entry points whose objects add commands: `add(commands) -> None`, as those in this package.
COMMANDS = "labelmesh.commands"
#: The same for commands under `labelmesh model`.
MODEL_COMMANDS = "labelmesh.model_commands"

_TRAINING = "labelmesh-training"


def add_commands(commands: Commands[argparse.ArgumentParser], chosen: str) -> None:
    """Commands of other distributions, beside those of this one; `chosen` is the command's name as it was typed, empty for none."""
    if chosen in commands.choices:
        return
    add_from(commands, entry_points(group=COMMANDS))
    _add_missing(commands, "train", "Train a model from the labels in labelmesh.")


def add_model_commands(group: Commands[argparse.ArgumentParser], chosen: str) -> None:
    """The same under `labelmesh model`."""
    if chosen in group.choices:
        return
    add_from(group, entry_points(group=MODEL_COMMANDS))
    _add_missing(group, "import-frozen-graph", "Make a SavedModel of a TensorFlow 1 frozen graph.")


def add_from(commands: Commands[argparse.ArgumentParser], points: Iterable[EntryPoint]) -> None:
    """Commands of these entry points, each named like its command. None replaces a command that is there, or keeps others from working."""
    for point in sorted(points, key=lambda point: point.name):
        if point.name in commands.choices:
            continue
        try:
            add: Any = point.load()
        except Exception as error:
            _add_broken(commands, point, error)
        else:
            add(commands)


def _add_broken(commands: Commands[argparse.ArgumentParser], point: EntryPoint, error: Exception) -> None:
    distribution = point.dist.name if point.dist is not None else "another distribution"
    _add_saying(commands, point.name, "", f"`{point.name}` of {distribution} cannot be loaded: {type(error).__name__}: {error}")


def _add_missing(commands: Commands[argparse.ArgumentParser], name: str, summary: str) -> None:
    if name not in commands.choices:
        sentence = f"`{name}` needs the distribution {_TRAINING}: pip install {_TRAINING}"
        _add_saying(commands, name, f"{summary} (needs {_TRAINING})", sentence)


def _add_saying(commands: Commands[argparse.ArgumentParser], name: str, summary: str, sentence: str) -> None:
    def say(_: argparse.Namespace, __: Terminal) -> int:
        raise ConfigurationError(sentence)

    # Whatever arguments it is given, even --help, the sentence is the answer: no character begins an option.
    options: dict[str, Any] = {"help": summary} if summary else {}
    parser = commands.add_parser(name, add_help=False, prefix_chars="\0", **options)
    parser.add_argument("rest", nargs="*")
    parser.set_defaults(handler=say)
