"""The command `labelmesh`: reads the arguments, runs one command, and turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from labelmesh_client.command import (
    administration,
    augmenting,
    export,
    images,
    importing,
    labels,
    models,
    plugins,
    predicting,
    priorities,
    projects,
    sessions,
    statistics,
)
from labelmesh_client.command.access import address_of
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import Cancelled, LabelmeshError, PermissionDenied, Unauthenticated, Unavailable

_EPILOG = """\
exit codes:
  0    done
  1    failed, with a sentence on stderr; also: some files were refused, some checks of a model failed
  2    the arguments make no sense
  130  stopped with Ctrl-C

environment:
  LABELMESH_ADDRESS                   the gateway, e.g. https://labels.example.org
  LABELMESH_API_KEY                   the API key of a program
  LABELMESH_USER, LABELMESH_PASSWORD  an account to sign in with
  LABELMESH_CA_FILE                   certificates to trust, PEM
  LABELMESH_MODELS                    the model repository, for `labelmesh model add` and `labelmesh train`

examples:
  labelmesh sign-in
  labelmesh demo digits
  labelmesh import folder ~/pictures --project "Camera traps" --classes "fox,deer,badger,nothing"
  labelmesh labels "Camera traps" --out labels.csv
  labelmesh predict fox.jpg --model animals
  labelmesh augment folder ~/pictures --pipeline p.json --copies 5 --out ~/augmented
"""


def build_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of all commands; for arguments that are known already, without what another command would need."""
    chosen, chosen_below = (*argv[:2], "", "")[:2]
    parser = argparse.ArgumentParser(
        prog="labelmesh",
        description="Import images, set what is labeled next, get the labels out, and put models to work.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"labelmesh {version('labelmesh')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for area in (sessions, importing, projects, images, priorities, labels, export, statistics, predicting, augmenting, administration):
        area.add(commands)
    models.add(commands, chosen_below if chosen == "model" else "list")
    plugins.add_commands(commands, chosen)
    return parser


def main(argv: Sequence[str], terminal: Terminal) -> int:
    """Runs one command and returns its exit code. Only argparse leaves by SystemExit (help, and arguments that make no sense)."""
    arguments = build_parser(argv).parse_args(argv)
    try:
        code: int = arguments.handler(arguments, terminal)
        terminal.stdout.flush()
        return code
    except KeyboardInterrupt:
        terminal.say("Stopped.")
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough. Nothing may be written at exit, or Python complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except LabelmeshError as error:
        terminal.say(f"labelmesh: {sentence(error, arguments, terminal)}")
        return 1


def sentence(error: LabelmeshError, arguments: argparse.Namespace, terminal: Terminal) -> str:
    """What went wrong, and what can be done where that is known."""
    text = str(error).strip() or "it failed without saying why"
    text = text if text.endswith((".", ")", "!", "?")) else text + "."
    match error:
        case Unavailable() if not error.reason:
            origin = address_of(arguments, terminal.environment).origin
            cause = text.rsplit(": ", 1)[-1]
            return f"No labelmesh answers at {origin}: {cause} Is the address right? On this machine, `./mesh up` starts one."
        case Unauthenticated() if error.reason != "WRONG_CREDENTIALS":
            return f"{text} Sign in again with `labelmesh sign-in`; for programs, an API key has no idle time-out."
        case PermissionDenied() if error.reason == "SCOPE_MISSING":
            return f"{text} `labelmesh keys create --scope ...` makes a key that may; accounts and keys are administered by people only."
        case Cancelled():
            return "Stopped."
    return text


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:], Terminal.of_this_process()))


if __name__ == "__main__":
    run()
