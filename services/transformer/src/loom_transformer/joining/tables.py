"""Reads the other source of each step once for a run, and finds its rows again.

The first worker that needs it reads it. Where two begin at the same time, what the first of them has read counts for
both: the rows that a run joins with are the same until its end, also after a crash, and for what is run again later."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from loom_common.domain.json_values import exact_json
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.functions.matching import words_of
from loom_common.domain.steps.grouping import group_hash, value_of
from loom_common.domain.steps.joining import JoinStep, compared_pairs
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError, SourceError
from loom_common.ports.joined_tables import JoinedRow, JoinedTable, JoinedTables
from loom_connectors.joining.source import rows_of
from loom_connectors.ports.context import ConnectorContext

ContextOf = Callable[[Plan], ConnectorContext]


class OtherSources:
    """Keeps the other sources of the steps of all plans. Nothing is opened for a service whose plans join nothing."""

    def __init__(self, open_store: Callable[[], JoinedTables], context_of: ContextOf | None = None) -> None:
        """Without `context_of`, which says where sources are read, there is only what runs have read already."""
        self._open_store = open_store
        self._context_of = context_of
        self._store: JoinedTables | None = None
        self._reading: dict[tuple[str, str], asyncio.Task[JoinedTable]] = {}

    @property
    def store(self) -> JoinedTables:
        """Return the store, which is opened now."""
        if self._store is None:
            self._store = self._open_store()
        return self._store

    async def table_of(self, plan: Plan, run_id: str, step: JoinStep) -> JoinedTable:
        """Return the table that the step of a run joins with, which is read now where nobody has. Reading goes on where
        the batch that waits for it has no more time. Raises what `rows_of` and the store raise."""
        scope = run_id if plan.replay is None else plan.replay.origin or plan.replay.run_id
        if (table := await self.store.table_of(scope, step.name)) is not None:
            return table
        if self._context_of is None:
            words = f"the rows of {redacted(step.source)} that run {scope} joined with are not kept any more"
            raise SourceError(f"Step {step.name}: {words}. Run the pipeline again.")
        key = (scope, step.name)
        if key not in self._reading:
            task = self._reading[key] = asyncio.create_task(self._read(scope, step, self._context_of(plan)))
            task.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(self._reading[key])

    async def _read(self, scope: str, step: JoinStep, context: ConnectorContext) -> JoinedTable:
        name, version, number = uuid.uuid4().hex, hashlib.sha256(), 0
        await self.store.begin(name)
        async for page in rows_of(step, context):
            rows: list[JoinedRow] = []
            for row in page:
                number += 1
                version.update(exact_json.dumps(dict(row)) + b"\n")
                rows.append(_row(step, number, row))
            if rows:
                await self.store.add(name, rows)
        found_by = [each[::2] for each in compared_pairs(step)] if step.embedding is None else []
        layout = hashlib.sha256(json.dumps(found_by).encode()).hexdigest()
        return await self.store.hold(scope, step.name, JoinedTable(name, version.hexdigest(), number), layout)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Stop reading, and close the store, at the end of the block."""
        try:
            yield
        finally:
            reading = list(self._reading.values())
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            if self._store is not None:
                await self._store.close()


def _row(step: JoinStep, number: int, row: Mapping[str, Any]) -> JoinedRow:
    try:
        values = [value_of(row, column) for column in (step.on or {}).values()]
    except RecordError as error:
        raise SourceError(f"Step {step.name}: row {number} of its source cannot be compared: {error}") from error
    key = group_hash(values) if values and None not in values else None
    words = () if step.embedding is not None else words_of([row.get(column) for column in (step.alike or {}).values()])
    return JoinedRow(number, key, words, row)
