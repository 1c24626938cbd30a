"""How a service's memory is kept together."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_ARENAS = 2
_LARGE_BYTES = 8 * 1024 * 1024
_KEPT_BYTES = 64 * 1024 * 1024
_GROWTH_BYTES = 4 * 1024 * 1024
_YOUNG_OBJECTS = 10_000


def limit_arenas() -> None:
    """Has glibc's allocator share two arenas among all threads instead of eight for each core, none of which gives back what it once had.

    For services with many threads that allocate little outside Python. Does nothing where the C library has no such setting.
    Source: mallopt(3).
    """
    _set(_M_ARENA_MAX, _ARENAS)


def return_large_blocks() -> None:
    """Has glibc's allocator give blocks of 8 MiB and more back to the system as soon as they are free.

    By default it learns from the first of them that such blocks are wanted, takes the next ones from its heaps, and keeps these for as long
    as anything small lies behind them: a picture of 100 megapixels left a service a gigabyte larger for good. Source: mallopt(3).
    """
    _set(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def keep_small_blocks() -> None:
    """Has glibc's allocator keep up to 64 MiB of what smaller blocks leave behind, for those that come next.

    By default it gives everything beyond 128 KiB back, and every page that is taken again costs a fault: for pictures of half a megabyte
    these took as long as the work on them. Source: mallopt(3).
    """
    _set(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    _set(_M_TOP_PAD, _GROWTH_BYTES)


def return_free_memory() -> None:
    """Gives free memory of the allocator back to the system, wherever it lies. Source: malloc_trim(3); does nothing elsewhere."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def settle() -> None:
    """Once everything is loaded: what is there stays, so the garbage collector need not look through it again and again.

    A call of a thousand inputs makes tens of thousands of objects; by default that is as many looks through all modules' objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def _set(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)
