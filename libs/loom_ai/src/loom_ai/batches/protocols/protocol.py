"""Defines what a provider's batch API is to Loom, and finds the one of a provider."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Collection
from typing import IO, Any, Protocol

from loom_ai.batches.requests.client import BatchClient
from loom_ai.batches.requests.values import Batch, Found, Limits, Result, Status
from loom_ai.ports import ModelCall
from loom_ai.wire.document import NoAnswer, parsed
from loom_common.domain.model_options.providers import provider_named

LONGEST_LINE = 8 * 1024 * 1024
"""The longest line of results that is read, in bytes. No model's answer is that long."""


class BatchProtocol(Protocol):
    """Speaks to one provider's batch API. Each method raises `BatchRefused` where the provider answers with an HTTP
    status that is no success, and `DependencyUnavailable` or `Timeout` where it cannot be reached."""

    limits: Limits

    def line(self, key: str, body: bytes, call: ModelCall) -> bytes:
        """Return one request as it stands in what is submitted, with a separator behind it."""
        ...

    async def prepare(self, client: BatchClient, batch: Batch, requests: IO[bytes]) -> str:
        """Do what costs nothing before a batch is submitted, and return what `submit` needs of it."""
        ...

    async def submit(self, client: BatchClient, batch: Batch, requests: IO[bytes], prepared: str) -> str:
        """Submit the batch, and return the provider's name of it. This is what is paid for."""
        ...

    async def find(self, client: BatchClient, batch: Batch, known: Collection[str]) -> Found:
        """Look for a batch that may have been submitted. `known` are the names of others."""
        ...

    async def status(self, client: BatchClient, batch: Batch) -> Status:
        """Return how far a batch is."""
        ...

    def results(self, client: BatchClient, batch: Batch, status: Status) -> AsyncIterator[Result]:
        """Yield what came of the requests, in any order, those of an unfinished batch as far as they came. What cannot
        be read is left out."""
        ...

    async def cancel(self, client: BatchClient, batch: Batch) -> None:
        """Ask the provider to cancel the batch. What it has answered is kept."""
        ...


def protocol_of(provider: str) -> BatchProtocol:
    """Return the batch API that a provider has."""
    from loom_ai.batches.protocols import anthropic, google, openai

    found: dict[str, BatchProtocol] = {
        "openai": openai.OpenAiBatches(),
        "anthropic": anthropic.AnthropicBatches(),
        "google": google.GoogleBatches(),
    }
    return found[provider_named(provider).wire]


async def lines_of(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines of a response. One that is longer than `LONGEST_LINE` is left out."""
    rest, dropping = b"", False
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if not dropping and line.strip() and len(line) <= LONGEST_LINE:
                yield line
            dropping = False
        if len(rest) > LONGEST_LINE:
            rest, dropping = b"", True
    if rest.strip() and not dropping:
        yield rest


def object_in(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line is; None where it is none."""
    try:
        value = parsed(line)
    except NoAnswer:
        return None
    return value if isinstance(value, dict) else None


def text_of(value: Any) -> str | None:
    """Return a text of a provider's, bounded; None for another type or an empty one."""
    return value[:300] if isinstance(value, str) and value else None


def number_of(value: Any) -> int:
    """Return a count that a provider states, which may be a text; 0 where it is none."""
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return 0
