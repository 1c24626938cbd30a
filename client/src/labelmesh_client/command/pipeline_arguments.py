"""How the commands that augment are told what to do."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

from labelmesh_client.augmentations import MAX_SEED
from labelmesh_client.client import Client
from labelmesh_client.command.arguments import not_negative
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError
from labelmesh_client.pipelines import Finding, Pipeline

_SAVED = re.compile(r"(?P<project>.+)/(?P<name>[^/@]+)(@(?P<version>\d+))?")


def add_pipeline_arguments(parser: argparse.ArgumentParser, *, recipe: bool = False) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--pipeline",
        "-p",
        metavar="FILE",
        help="the pipeline, JSON as the browser copies it; - for stdin (see `labelmesh augment example`)",
    )
    which.add_argument(
        "--saved", metavar="PROJECT/NAME[@VERSION]", type=saved, help="a pipeline that a project keeps (default: its newest)"
    )
    if recipe:
        which.add_argument("--recipe", metavar="FILE", type=Path, help="what was drawn before, JSON, or a .jsonl file together with --of")
    else:
        parser.set_defaults(recipe=None)


def add_seed_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help=f"another seed, other results; 0 to {MAX_SEED:,} (default: 0)")


def _seed(text: str) -> int:
    if not_negative(text) > MAX_SEED:
        raise ValueError(text)
    return int(text)


def saved(text: str) -> tuple[str, str, int]:
    """`PROJECT/NAME@VERSION`. Raises ValueError."""
    match = _SAVED.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return match["project"], match["name"], int(match["version"] or 0)


def pipeline_of(client: Client, arguments: argparse.Namespace, terminal: Terminal) -> Pipeline:
    """The pipeline that the arguments name. Raises SourceError for a file that is none, NotFound for one that no project keeps."""
    if arguments.saved is not None:
        project, name, version = arguments.saved
        return client.pipelines.get(client.project(project).id, name, version).pipeline
    if arguments.pipeline == "-":
        return Pipeline.from_json(terminal.stdin.read())
    return Pipeline.read(Path(arguments.pipeline))


def say_findings(findings: Iterable[Finding], terminal: Terminal) -> None:
    for finding in findings:
        terminal.say(f"{'warning: ' if finding.warning else ''}{finding.field}: {finding.description}")


def written(path: Path, content: bytes) -> None:
    """Writes a file that appears when it is whole. Raises ConfigurationError."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None
