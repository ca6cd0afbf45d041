"""Keeps the rows of a run in the payload store, as its destination, for the Python code that started it."""

from __future__ import annotations

import asyncio

from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.stored_records import are_handed, owns_rows, rows_owner_in
from loom_common.errors import ConfigurationError, DestinationError
from loom_common.ports.payloads import PayloadStore
from loom_connectors.given.handed import HandedRows
from loom_connectors.given.kept import name_of, packed_rows, rows_in
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Guarantee, LoadBatch, LoadResult


def open_destination(config: LoadConfig, context: ConnectorContext) -> KeptRows | HandedRows:
    """Open the rows of a run. Raises `ConfigurationError` where there is no store, as in a pipeline's file, and where
    nobody in this process takes rows that are handed over."""
    owner = rows_owner_in(config.destination)
    if owner is not None and are_handed(owner):
        return HandedRows(owner)
    if context.payloads is None or owner is None or not owns_rows(owner):
        raise ConfigurationError(
            f"load.destination: {config.destination} are rows that go back to the Python code that starts a run, which "
            "no pipeline can name. Name a file, a database or another destination."
        )
    return KeptRows(owner, context.payloads)


class KeptRows:
    """Keeps the rows of each batch as one payload, whose name is the place of the batch: the first time that it is
    loaded counts."""

    guarantee = Guarantee.OBJECT
    effect = "its rows are given to the Python code that started it"
    stages = False
    location = "rows for the Python code that started the run"

    def __init__(self, owner: str, payloads: PayloadStore) -> None:
        self._owner = owner
        self._payloads = payloads

    async def check(self) -> None:
        await self._payloads.names(self._owner)

    async def load(self, batch: LoadBatch) -> LoadResult:
        if batch.is_of_a_replay:
            raise DestinationError(
                f"The rows of run {batch.origin} were given to the Python code that started it, which a replay cannot "
                "give more. Run the pipeline again, or with a destination."
            )
        if not batch.rows:
            return LoadResult(0)
        data = await asyncio.to_thread(packed_rows, batch.rows)
        kept = await self._payloads.put_first(data, owner=self._owner, name=name_of(batch))
        return LoadResult(len(batch.rows) if kept == data else len(await asyncio.to_thread(rows_in, kept)))

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        return True

    async def drop(self, run_id: str) -> bool:
        return True

    async def close(self) -> None:
        """Do nothing: the store is the process's."""
