"""Keeps records that Python code gives where the workers read them, from before a run until nobody needs them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

from loom.engine import prepare
from loom.project.config import LoomConfig
from loom_common.service.bootstrap import open_payloads
from loom_connectors.given.storing import discard, store
from loom_connectors.ports.source import ReadRecord


@asynccontextmanager
async def stored(
    config: LoomConfig, records: AsyncGenerator[ReadRecord, None]
) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Store the records. Gives the name for `RunRequest.records`, and what removes them where no run was started, or
    the run has loaded them all. In all other cases the coordinator removes them. Raises what `store` raises."""
    settings = config.settings()
    if settings.embedded:
        await prepare(settings)  # the store may be a database that is still empty
    payloads = open_payloads(settings)
    try:
        async with aclosing(records):
            name = await store(payloads, records, settings.records.max_bytes)

        yield name, partial(discard, payloads, name)
    finally:
        await payloads.close()
