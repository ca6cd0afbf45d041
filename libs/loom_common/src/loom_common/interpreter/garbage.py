"""Makes garbage collections rare, while packages are imported and while records are moved."""

from __future__ import annotations

import atexit
import gc


def collect_seldom() -> None:
    """Collect almost nothing until `collect_less` is called, and nothing when the process ends. A process of Loom's own
    calls it before it imports large packages.

    Importing them makes two to three hundred thousand objects, and almost all of them stay until the process ends.
    Searching them for cycles, meanwhile and again as Python ends, takes a quarter of a short command's CPU time."""
    gc.set_threshold(500_000, 10, 10)
    atexit.register(gc.freeze)


def collect_less() -> None:
    """Make garbage collections rare, and leave out what is there. Call it once, when everything is imported and
    connected.

    A batch of 500 records is thousands of objects, none of them in a cycle. By default each batch would be searched for
    cycles several times, which takes a quarter of a stage's CPU time."""
    gc.set_threshold(50_000, 20, 10)
    gc.freeze()
