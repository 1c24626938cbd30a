"""Commands that other distributions bring along, by entry points, and what to install where one is missing."""

from __future__ import annotations

import argparse
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


def add_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Commands of other distributions, beside those of this one."""
    _add(commands, COMMANDS)
    _add_missing(commands, "train", "Train a model from the labels in labelmesh.")


def add_model_commands(group: Commands[argparse.ArgumentParser]) -> None:
    """The same under `labelmesh model`."""
    _add(group, MODEL_COMMANDS)
    _add_missing(group, "import-frozen-graph", "Make a SavedModel of a TensorFlow 1 frozen graph.")


def _add(commands: Commands[argparse.ArgumentParser], group: str) -> None:
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.name in commands.choices:
            continue  # No distribution replaces a command that is there.
        try:
            add: Any = point.load()
        except Exception as error:
            _add_broken(commands, point, error)
        else:
            add(commands)


def _add_broken(commands: Commands[argparse.ArgumentParser], point: EntryPoint, error: Exception) -> None:
    """A distribution that cannot be loaded must not keep the other commands from working."""
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
