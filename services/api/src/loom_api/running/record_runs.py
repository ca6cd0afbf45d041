"""Runs pipelines over records that requests give, and tells what the records came to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from loom.project.catalog import nothing_named
from loom.requests import runs
from loom.stored_records import stored
from loom_api.running.commands import Commands
from loom_api.running.given import GivenRecords, RunOver
from loom_api.running.outputs import outputs_in_order
from loom_common.contracts.v1 import RunRequest
from loom_common.domain.definition.reader import parse
from loom_common.errors import ConfigurationError
from loom_connectors.ports.source import ReadRecord
from loom_coordinator.db.run_rows import RUNNING
from loom_coordinator.queries import pipelines
from loom_coordinator.queries.outcomes.of_records import RecordOutcome
from loom_coordinator.queries.run_filter import RunFilter


class RecordRuns(Commands):
    """Adds to the commands those that carry records in their body."""

    async def run_over(
        self, name: str, records: AsyncGenerator[ReadRecord, None], params: Mapping[str, Any], key: str | None
    ) -> RunOver:
        """Start a run of a pipeline that reads these records in place of its source, once they are stored durably.
        Raises `ConfigurationError` where it cannot begin, and what the records raise; nothing is then stored."""
        await self._sessions.renew()
        request = await self._found(name, lambda: runs.prepare_over_records(name, self._config, params))
        pipeline = parse(await self._definition(request))
        given = GivenRecords(records, pipeline.extract.keys)
        session = await self._sessions.session()
        async with (
            self._noted("run over records", f"pipelines/{name}", None, {"params": dict(params)}) as act,
            stored(self._config, given.read()) as (stored_name, remove),
        ):
            how = {
                "records": stored_name,
                "outputs": given.record_ids is not None,
                "idempotency_key": key,
                "requested_by": self._viewer.user,
            }
            try:
                accepted = await session.start(request.model_copy(update=how))
                act.run_id = accepted.run_id
                return RunOver(accepted, given.record_ids)
            except ConfigurationError:
                await remove()
                raise

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
        return await outputs_in_order(self._reads, accepted.pipeline, accepted.run_id, begun.record_ids)

    async def under_way(self, pipeline: str, most: int) -> int:
        """Return how many runs of a pipeline are under way, `most` of them counted."""
        chosen = RunFilter(pipeline=pipeline, statuses=frozenset({RUNNING}))
        return len(await self._all.run_page(chosen, most, None))
