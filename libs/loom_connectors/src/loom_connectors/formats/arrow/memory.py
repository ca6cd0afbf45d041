"""Chooses where the library of typed columns takes its memory from."""

from __future__ import annotations

import os

import pyarrow as pa

_NAMED = "ARROW_DEFAULT_MEMORY_POOL"


def give_memory_back() -> None:
    """Let the library's Python part take its memory from the system's allocator, unless the environment names one, as
    that of Loom's own processes does (`loom_common.service.entry`), which reaches the part that writes files, too. The
    library's own allocator keeps what it is given back: a process that writes and reads a large file then holds 50 MB
    more, and is no faster (docs/performance.md)."""
    if _NAMED not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())
