"""Holds what a provider has of a batch, the limits that providers document, and the faults that a batch may have."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loom_ai.simulated.formats import AnthropicMessages, ChatCompletions, Format, GoogleContents

BATCH_FAULTS = (
    "413",
    "429",
    "500",
    "lost_response",
    "never_arrives",
    "fail",
    "too_much",
    "expire",
    "missing",
    "cut",
    "errors",
    "refusals",
    "bad_lines",
)
MOST_REQUESTS: Mapping[type[Format], int] = {ChatCompletions: 50_000, AnthropicMessages: 100_000}
"""The most requests of a batch, as the providers document them. Google states none."""
_MIB = 1024 * 1024
MOST_BYTES: Mapping[type[Format], int] = {
    ChatCompletions: 200 * _MIB,
    AnthropicMessages: 256 * _MIB,
    GoogleContents: 20 * _MIB,
}
"""The most bytes of a batch: of OpenAI's file, of Anthropic's document, and of Google's with the requests inside."""


@dataclass
class SimulatedBatch:
    """Holds a batch as the provider has it."""

    id: str
    wire: Format
    requests: list[tuple[str, dict[str, Any], str]]
    """Holds the name, body and model of each request."""
    name: str
    """Says what the client named it; empty where the protocol has no such name."""
    key: str
    """The API key that created it."""
    fault: str | None
    created: float = field(default_factory=time.time)
    cancelled: float | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    downloads: int = 0

    def done(self, seconds: float) -> int:
        """Return how many requests are answered by now."""
        if self.fault in ("fail", "too_much"):
            return 0
        passed = (self.cancelled or time.time()) - self.created
        share = 1.0 if seconds <= 0 else min(1.0, passed / seconds)
        most = len(self.requests) // 2 if self.fault == "expire" else len(self.requests)
        return int(share * most)

    def state(self, seconds: float) -> str:
        """Return `running`, `completed`, `expired`, `cancelled` or `failed`."""
        if self.fault in ("fail", "too_much"):
            return "failed"
        if self.cancelled is not None:
            return "cancelled"
        if time.time() - self.created < seconds:
            return "running"
        return "expired" if self.fault == "expire" else "completed"
