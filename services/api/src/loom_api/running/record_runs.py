"""Runs pipelines over records that requests give, and tells what the records came to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from cachetools import TTLCache

from loom.project.catalog import nothing_named
from loom.project.config import LoomConfig
from loom.requests import runs
from loom.stored_records import stored
from loom_api.reads import Reads
from loom_api.running.commands import Commands
from loom_api.running.given import GivenRecords, RunOver
from loom_api.running.inboxes import Inboxes
from loom_api.running.known_records import KeysTaken, KnownRecords
from loom_api.running.outputs import outputs_in_order
from loom_api.running.sessions import Sessions
from loom_common.contracts.v1 import RunRequest
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.streams.api_source import is_api_source
from loom_common.errors import ConfigurationError, DependencyUnavailable
from loom_connectors.ports.source import ReadRecord
from loom_coordinator.db.run_rows import RUNNING
from loom_coordinator.queries import pipelines
from loom_coordinator.queries.outcomes.of_records import RecordOutcome
from loom_coordinator.queries.run_filter import RunFilter

_REMEMBERED, _FRESH_SECONDS = 1000, 2.0
"""Say how many pipelines are remembered, and for how long."""
_PATIENCE_SECONDS = 10.0
"""Says how long a request waits for another one that has one of its records."""


class RecordRuns(Commands):
    """Adds to the commands those that carry records in their body."""

    def __init__(self, config: LoomConfig, sessions: Sessions, reads: Reads, inboxes: Inboxes) -> None:
        super().__init__(config, sessions, reads)
        self.inboxes = inboxes
        self._streams: TTLCache[str, Pipeline | None] = TTLCache(_REMEMBERED, _FRESH_SECONDS)
        """Holds pipelines by name, because streams are given records all the time; None for one that reads no inbox."""

    async def stream(self, name: str) -> Pipeline | None:
        """Return the pipeline of this name where its stream is given its records over HTTP; None for another one.
        Raises `NotFound` where there is none, and `ConfigurationError` where its definition has mistakes."""
        if name not in self._streams:
            request = await self._found(name, lambda: runs.named(name, self._config))
            pipeline = parse(await self._definition(request))
            streams = pipeline.mode == "streaming" and is_api_source(pipeline.extract.source)
            self._streams[name] = pipeline if streams else None
        return self._streams[name]

    async def run_over(
        self,
        name: str,
        records: Callable[[], AsyncGenerator[ReadRecord, None]],
        params: Mapping[str, Any],
        key: str | None,
    ) -> RunOver:
        """Start a run of a pipeline that reads these records in place of its source, once they are stored durably.
        Those that an earlier run has are left out, where the pipeline says so; `records` may be asked for more than
        once. Raises `ConfigurationError` where it cannot begin, `KeysTaken` where another request is under way with one
        of the records, and what the records raise; nothing is then stored."""
        await self._sessions.renew()
        request = await self._found(name, lambda: runs.prepare_over_records(name, self._config, params))
        pipeline = parse(await self._definition(request))
        request = request.model_copy(update={"idempotency_key": key, "requested_by": self._viewer.user})
        said = {"params": dict(params)}
        async with self._noted("run over records", f"pipelines/{name}", None, said) as act:
            noted = request.model_copy(update={"audit_line": act.line})
            begun = await self._tried_again(lambda: self._begin(pipeline, noted, records()))
            act.run_id = None if begun.accepted is None else begun.accepted.run_id
            return begun

    async def _tried_again(self, begin: Callable[[], Awaitable[RunOver]]) -> RunOver:
        """Begin a run, again for a time where another request is under way with a record. Both let go then, and wait
        for another time each, so that one of them comes first. Raises `KeysTaken` in the end."""
        until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while True:
            try:
                return await begin()
            except KeysTaken:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - spreads, hides nothing

    async def _begin(
        self, pipeline: Pipeline, request: RunRequest, records: AsyncGenerator[ReadRecord, None]
    ) -> RunOver:
        known = KnownRecords(self._reads.engine, pipeline)
        given = GivenRecords(known.new(records), pipeline.extract.keys, pipeline.sensitive_fields)
        session = await self._sessions.session()
        try:
            async with stored(self._config, given.read(), pipeline) as (stored_name, remove):
                if not given.any:
                    await remove()
                    await known.release()
                    return RunOver(None, known.duplicates, ())
                how = {"records": stored_name, "outputs": given.record_ids is not None, "claims": known.claims}
                try:
                    accepted = await session.start(request.model_copy(update=how))
                except ConfigurationError:
                    await remove()
                    raise
        except DependencyUnavailable:
            raise  # the request may still be carried out, and take the claims over; else they lapse
        except BaseException:
            await known.release()
            raise
        await known.release()  # the same request may have begun the run before
        return RunOver(accepted, known.duplicates, given.record_ids)

    async def _definition(self, request: RunRequest) -> dict[str, Any]:
        """Return the definition of the pipeline that a run is asked of. Raises `NotFound` where none is registered."""
        if request.definition is not None:
            return request.definition
        name = request.pipeline or ""
        async with self._reads.engine.connect() as connection:
            found = await pipelines.definition(connection, name)
        if found is None:
            raise nothing_named(name, {each.name for each in await self._reads.listed()})
        return found

    async def outputs(self, begun: RunOver) -> list[RecordOutcome] | None:
        """Return what the records given to a run that has ended came to, in their order; None where they are many, or
        their contents may not be seen."""
        if begun.record_ids is None:
            return None
        accepted = begun.accepted
        assert accepted is not None
        return await outputs_in_order(self._reads, accepted.pipeline, accepted.run_id, begun.record_ids)

    async def under_way(self, pipeline: str, most: int) -> int:
        """Return how many runs of a pipeline are under way, `most` of them counted."""
        chosen = RunFilter(pipeline=pipeline, statuses=frozenset({RUNNING}))
        return len(await self._all.run_page(chosen, most, None))
