"""What the command reads from and writes to."""

from __future__ import annotations

import base64
import dataclasses
import getpass
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TextIO

from google.protobuf import json_format
from google.protobuf.message import Message

from labelmesh_client.errors import ConfigurationError

# JSON escapes the controls of ASCII by itself; terminals obey these as well.
_CONTROLS_BEYOND_ASCII = re.compile("[\x7f-\x9f\u2028\u2029]")


class Terminal:
    """Results go to `stdout`, everything said beside them to `stderr`; settings come from `environment`."""

    def __init__(self, environment: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.environment = environment
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @staticmethod
    def of_this_process() -> Terminal:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that has no such quotation mark is no reason to fail
        return Terminal(os.environ, sys.stdin, sys.stdout, sys.stderr)

    def print(self, text: str) -> None:
        """Text for people: what could steer a terminal, e.g. in the name of a file, is replaced."""
        print(printable(text), file=self.stdout)

    def say(self, text: str) -> None:
        print(printable(text), file=self.stderr, flush=True)

    def print_json(self, value: object) -> None:
        """One value on one line."""
        print(as_json(value), file=self.stdout)

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
    """Values of the SDK as JSON: dataclasses as objects, times in ISO 8601, bytes in base64."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return _CONTROLS_BEYOND_ASCII.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def printable(text: str) -> str:
    """The text with every control character but the line feed made visible as a replacement character."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Message):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
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
