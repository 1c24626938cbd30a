"""Memory that was needed once is given back."""

from __future__ import annotations

import subprocess
import sys

# Blocks of 16 MiB, which is how pictures are held, with something small behind each.
_PROGRAM = """
import ctypes, threading
from labelmesh_chassis.memory import limit_arenas, return_large_blocks

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 2**20

def need():
    for _ in range(3):
        blocks = []
        for _ in range(12):
            blocks.append(libc.malloc(16 * 2**20))
            libc.memset(blocks[-1], 1, 16 * 2**20)
            libc.malloc(100_000)
        for block in blocks:
            libc.free(block)

limit_arenas()
return_large_blocks()
before = resident()
for _ in range(2):
    thread = threading.Thread(target=need)
    thread.start()
    thread.join()
print(resident() - before)
"""


def test_large_blocks_are_given_back_once_they_are_free() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 40


_AGAIN = """
import resource, sys
from labelmesh_chassis.memory import keep_small_blocks, return_large_blocks

return_large_blocks()
if sys.argv[1] == "keep":
    keep_small_blocks()
for turn in range(220):
    if turn == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    one, two = bytearray(1 << 20), bytearray(1 << 20)
    del one, two
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_smaller_blocks_that_are_needed_again_at_once_are_kept() -> None:
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", _AGAIN, how], capture_output=True, text=True, check=True, timeout=60).stdout)

    assert faults("keep") < 1_000 < 50_000 < faults("give back")
