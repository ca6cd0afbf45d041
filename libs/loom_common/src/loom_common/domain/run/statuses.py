"""Names the statuses of runs as people are shown them."""

from __future__ import annotations

from enum import StrEnum


class ShownStatus(StrEnum):
    """Lists the statuses of runs as people are shown them, and may ask for them."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
