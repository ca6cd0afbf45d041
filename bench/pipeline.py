"""Defines the pipeline that does nothing but move records."""

from __future__ import annotations

from typing import Any

DATABASE = "${BENCH_DATABASE}"
"""Says in a definition where a private database is; its address holds a password."""


def definition(source: str, destination: str, batch_size: int, partitions: int | str = "auto") -> dict[str, Any]:
    """Return the definition as a pipeline file would say it: no key, no evaluation."""
    return {
        "name": f"passthrough_{batch_size}",
        "version": "1.0.0",
        "extract": {"source": source, "batch_size": batch_size, "partitions": partitions},
        "transform": {"type": "passthrough"},
        "load": {"destination": destination, "mode": "append"},
    }
