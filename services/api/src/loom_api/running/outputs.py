"""Tells what the records of a run came to, to whoever gave them."""

from __future__ import annotations

from collections.abc import Sequence

from loom_api.reads import Reads
from loom_common.domain.access import Action, Kind
from loom_common.errors import NotFound
from loom_coordinator.db.outputs.record_outputs import MOST
from loom_coordinator.queries.outcomes import of_records
from loom_coordinator.queries.outcomes.of_records import RecordOutcome


async def outputs(reads: Reads, run_id: str) -> list[RecordOutcome]:
    """Return what the records of a run came to. Raises `NotFound`, also where the run keeps no outputs."""
    run = await reads.shown_run(run_id)
    async with reads.engine.connect() as connection:
        if not await of_records.keeps_outputs(connection, run_id):
            raise NotFound(
                f"Run {run_id} keeps no outputs of its records. Runs over at most {MOST} records that were given over "
                "HTTP do, for a day."
            )
        return await of_records.of_run(connection, run_id, placed=_placed(run.report.records))


async def outputs_in_order(
    reads: Reads, pipeline: str, run_id: str, order: Sequence[str]
) -> list[RecordOutcome] | None:
    """Return what the records of a run came to, in their order; None where whoever gave them may not see the contents
    of records."""
    if not all(reads.viewer.may(Kind.RUNS, action, pipeline) for action in (Action.READ, Action.READ_DATA)):
        return None
    places = {record_id: place for place, record_id in enumerate(order)}
    found = await outputs(reads, run_id)
    return sorted(found, key=lambda each: places.get(each.record_id, len(places)))


def _placed(records: dict[str, int]) -> bool:
    """Tell whether a reader finds loaded rows of a run in its destination."""
    return records["loaded"] > records["staged"]
