"""Sets the C library's allocator so that a process returns large blocks of memory to the system when they are free."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Are `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's `malloc.h`."""
_LARGE = 256 * 1024
"""The number of bytes from which on a block is taken from the system by itself."""
_KEPT = 4 * 1024 * 1024
"""The number of free bytes at the end of an area of smaller blocks that stay with the process."""
_NAMED = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def return_large_blocks() -> None:
    """Let blocks of 256 KiB and more be taken from the system one by one, and keep some memory for smaller ones. A
    process of Loom's own calls it when it begins.

    By default glibc does so only until the first large block is freed. Later ones, of up to 32 MiB, are pieces of
    larger areas, one for each thread, which go back only where nothing in them is in use: a process that moves batches
    and blocks of files then holds 20 to 50 MB that nobody uses. Where the one limit is set, glibc no longer adapts the
    other, and gives what is free at the end of an area back from 128 KiB on: the buffers of each batch, which the next
    one takes from the system anew, page by page. So that limit is set, too.

    Nothing is changed where the C library is another one, or the environment sets this."""
    if sys.platform != "linux" or any(name in os.environ for name in _NAMED):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
