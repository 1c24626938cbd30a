"""The end of a service by a signal, whenever it comes."""

from __future__ import annotations

import subprocess
import sys

# Python runs a signal's handler between two lines of the main thread, whatever that holds just then. This one sends the signal before
# every line of the wait that is written in Python.
_PROGRAM = """
import os, signal, sys, threading
from labelmesh_chassis.server import MeshServer

def trace(frame, event, argument):
    if frame.f_code.co_filename == threading.__file__ or frame.f_code.co_name == "run_until_signal" and "asked" in frame.f_locals:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            os.kill(os.getpid(), signal.SIGTERM)
    return trace

class Served(MeshServer):
    def __init__(self): pass
    def stop(self, **_):
        sys.settrace(None)
        print("stopped")

sys.settrace(trace)
Served().run_until_signal()
"""


def test_a_signal_is_obeyed_whenever_it_comes() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == ("stopped\n", 0), done.stderr[-2000:]
