"""Sets the C library's allocator so that a process returns large blocks of memory to the system when they are free."""

from __future__ import annotations

import ctypes
import os
import sys

_MMAP_THRESHOLD = -3
"""Is `M_MMAP_THRESHOLD` of glibc's `malloc.h`."""
_LARGE = 256 * 1024
"""The number of bytes from which on a block is taken from the system by itself."""
_NAMED = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def return_large_blocks() -> None:
    """Let blocks of 256 KiB and more be taken from the system one by one. A process of Loom's own calls it when it
    begins.

    By default glibc does so only until the first large block is freed. Later ones, of up to 32 MiB, are pieces of
    larger areas, one for each thread, which go back only where nothing in them is in use: a process that moves batches
    and blocks of files then holds 20 to 50 MB that nobody uses. Nothing is changed where the C library is another one,
    or the environment sets this."""
    if sys.platform != "linux" or any(name in os.environ for name in _NAMED):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
