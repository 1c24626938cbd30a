"""What the command reads from and writes to."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TextIO

from labelmesh_client.errors import ConfigurationError


class Terminal:
    """Results go to `stdout`, everything said beside them to `stderr`; settings come from `environment`."""

    def __init__(self, environment: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.environment = environment
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @staticmethod
    def of_this_process() -> Terminal:
        return Terminal(os.environ, sys.stdin, sys.stdout, sys.stderr)

    def print(self, text: str) -> None:
        print(text, file=self.stdout)

    def say(self, text: str) -> None:
        print(text, file=self.stderr, flush=True)

    def print_json(self, value: object) -> None:
        """One value on one line."""
        self.print(as_json(value))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
        """Columns as wide as they need to be; those numbered in `right` are aligned to the right. Without rows, nothing but the heads."""
        lines = [list(heads), *(list(row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        to_right = set(right)
        for line in lines:
            cells = [
                cell.rjust(width) if column in to_right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            self.print("  ".join(cells).rstrip())

    def ask_password(self, prompt: str, *, from_stdin: bool) -> str:
        """A password typed unseen, or the first line of stdin. Raises ConfigurationError when there is none to be had."""
        if from_stdin:
            password = self.stdin.readline().rstrip("\r\n")
        elif self.stdin.isatty():
            password = getpass.getpass(prompt, self.stderr)
        else:
            raise ConfigurationError("There is no terminal to ask for the password; give it on stdin with --password-stdin.")
        if not password:
            raise ConfigurationError("No password was given.")
        return password


def as_json(value: object) -> str:
    """Values of the SDK as JSON: dataclasses as objects, times in ISO 8601."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


def shown_time(value: datetime | None, none: str = "-") -> str:
    """A time for people: local, to the minute."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M") if value else none
