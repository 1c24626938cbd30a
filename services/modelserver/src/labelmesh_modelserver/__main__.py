"""`python -m labelmesh_modelserver`: the command line of tensorflow_model_server, as far as it is understood here."""

from __future__ import annotations

import logging
import os
import signal
import sys
from queue import SimpleQueue
from types import FrameType
from typing import NoReturn

from labelmesh_modelserver.configuration import models_of, read_config_file
from labelmesh_modelserver.flags import ABOUT, Flags, parse
from labelmesh_modelserver.parameters import read_batching_parameters, read_metrics_path
from labelmesh_modelserver.statuses import Code, ServingError

_log = logging.getLogger("labelmesh_modelserver")


def main() -> int:
    """Runs the server until SIGTERM or SIGINT; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        flags = parse()
        _log.info("%s", ABOUT)
        _read_files(flags)
    except ServingError as problem:
        return _failed(problem)
    # Not an Event: a signal that comes while the main thread holds the Event's lock would wait for itself in set().
    asked: SimpleQueue[int] = SimpleQueue()

    def stop(number: int, frame: FrameType | None) -> None:
        asked.put(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Before TensorFlow is imported: warnings about the machine are not worth a line at every start.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from labelmesh_modelserver.server import run  # Costs 5 s: after --help, mistakes and the first line of the log.

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        run(flags, asked)
    except ServingError as problem:
        return 0 if not asked.empty() and problem.code is Code.DEADLINE_EXCEEDED else _failed(problem)
    return 0


def _read_files(flags: Flags) -> None:
    """Tells of files that are missing or wrong at once, not after TensorFlow's import."""
    if flags.model_config_file:
        models_of(read_config_file(flags.model_config_file))
    read_metrics_path(flags.monitoring_config_file)
    read_batching_parameters(flags.batching_parameters_file)


def _failed(problem: ServingError) -> int:
    _log.error("Failed to start server. Error: %s", problem)
    return 255


def _exit(status: int) -> NoReturn:
    """Ends the process although calls that outlasted their drain are still being computed in threads that cannot be stopped."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    _exit(main())
