"""What can go wrong on one machine, as sentences for the person in front of it."""

from __future__ import annotations


class LocalError(Exception):
    """Something a person can act on. The message is shown as it is; `exit_code` is what the command ends with."""

    exit_code = 1


class PortTaken(LocalError):
    """Another program listens on the port that was asked for."""

    exit_code = 3
