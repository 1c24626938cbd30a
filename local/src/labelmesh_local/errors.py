"""What can go wrong on one machine, as sentences for the person in front of it."""

from __future__ import annotations


class LocalError(Exception):
    """Something a person can act on. The message is shown as it is; `exit_code` is what the command ends with."""

    exit_code = 1


class PortTaken(LocalError):
    """Another program listens on the port that was asked for."""

    exit_code = 3


class AlreadyRunning(LocalError):
    """Another mesh works on the same data."""

    exit_code = 4


class NotRunning(LocalError):
    """There is no mesh to talk to."""

    exit_code = 5


class DiskFull(LocalError):
    """Nothing more can be written."""

    exit_code = 6


class HomeNotWritable(LocalError):
    """The folder of the data does not let us write."""

    exit_code = 7
