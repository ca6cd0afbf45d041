"""Makes batches of rows, as the loader gives them to a destination."""

from __future__ import annotations

from typing import Any

from loom_connectors.ports.destination import LoadBatch, Row

RUN = "run_0123456789ab"


def batch(*rows: dict[str, Any], name: str = "b", run: str = RUN) -> LoadBatch:
    """Make the first batch of a run; its records are called `r0`, `r1` and so on."""
    return LoadBatch(run, name, 0, 0, 0, [Row(f"r{at}", values) for at, values in enumerate(rows)])
