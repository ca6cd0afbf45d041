"""Makes garbage collections rare, while packages are imported and while records are moved."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Make garbage collections rare. A process of Loom's own calls it before it imports large packages.

    A batch of 500 records is thousands of objects, none of them in a cycle. By default each batch, and all imported
    modules, would be searched for cycles several times, which takes a quarter of a stage's CPU time."""
    gc.set_threshold(10_000, 10, 10)


def collect_less() -> None:
    """Make garbage collections rare, and leave out what is there. Call it once, when everything is imported and
    connected."""
    collect_rarely()
    gc.freeze()
