"""Measures how much memory this process holds, and how much it may. From the kernel: nothing is guessed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Names the limits of a container's control group, versions 2 and 1."""
_NO_LIMIT = 1 << 60
"""Version 1 has no word for "none", only a number that no machine has."""


def held() -> int:
    """Return the resident memory in bytes. Where there is no /proc, the most that was ever held; 0 on Windows, where
    nothing tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        try:
            import resource
        except ImportError:
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def held_by(pid: int) -> int:
    """Return the resident memory of another process in bytes; 0 where there is no /proc, or no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def limit(files: Iterable[Path] = _LIMITS) -> int | None:
    """Return what the process's container may hold, in bytes; None where nothing limits it."""
    for path in files:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < _NO_LIMIT:
            return int(text)
    return None
