"""Keeps records that Python code gives where the workers read them, from before a run until nobody needs them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

from loom.engine import prepare
from loom.project.config import LoomConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.ports.payloads import PayloadStore
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.payloads import SealedPayloads
from loom_common.service.bootstrap import open_payloads
from loom_connectors.given.storing import discard, store
from loom_connectors.ports.source import ReadRecord


@asynccontextmanager
async def stored(
    config: LoomConfig, records: AsyncGenerator[ReadRecord, None], pipeline: Pipeline
) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Store the records for a run of a pipeline, encrypted where it has sensitive fields. Gives the name for
    `RunRequest.records`, and what removes them where no run was started, or the run has loaded them all. In all other
    cases the coordinator removes them. Raises what `store` raises."""
    settings = config.settings()
    if settings.embedded:
        await prepare(settings)  # the store may be a database that is still empty
    payloads = open_payloads(settings)
    try:
        async with aclosing(records):
            place: PayloadStore = payloads
            if pipeline.sensitive:
                place = SealedPayloads(payloads, Keyring(settings.encryption.keys, config.secrets), pipeline.name)
            name = await store(place, records, settings.records.max_bytes)

        yield name, partial(discard, payloads, name)
    finally:
        await payloads.close()
