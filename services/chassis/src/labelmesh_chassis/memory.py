"""How a service's memory is kept together."""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8
_ARENAS = 2
_YOUNG_OBJECTS = 10_000


def limit_arenas() -> None:
    """Has glibc's allocator share two arenas among all threads instead of eight for each core, none of which gives back what it once had.

    For services with many threads that allocate little outside Python. Does nothing where the C library has no such setting.
    Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def settle() -> None:
    """Once everything is loaded: what is there stays, so the garbage collector need not look through it again and again.

    A call of a thousand inputs makes tens of thousands of objects; by default that is as many looks through all modules' objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
