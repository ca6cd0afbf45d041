"""Makes quarantined records for tests of their store: the messages that bring them, and the list of what is kept."""

from __future__ import annotations

import datetime as dt
from typing import Any

from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import KeptRecord, RecordsQuarantined
from loom_common.flow import Stage
from loom_quarantine import queries
from loom_quarantine.queries import RecordFilter

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)


def kept(record_id: str, **known: Any) -> KeptRecord:
    """Return a record that the gate rejected, unless `known` says otherwise."""
    defaults = {"outcome": "rejected", "code": "gate", "reason": "No evaluators passed threshold"}
    return KeptRecord(**{**defaults, "record_id": record_id, "input": {"id": record_id, "n": 1.5}, **known})


def message(
    *records: KeptRecord,
    run_id: str = "run_1",
    batch_id: str = "b1",
    stage: Stage = Stage.EVALUATE,
    pipeline: str = "p",
) -> RecordsQuarantined:
    """Return the message in which a stage hands over the records of one batch."""
    return RecordsQuarantined(run_id=run_id, pipeline=pipeline, batch_id=batch_id, stage=stage, records=records)


async def listed_ids(engine: AsyncEngine, limit: int = 100, **chosen: Any) -> list[str]:
    """Read the ids of the records that a filter chooses, the newest first."""
    return [row.record_id for row in await queries.listing(engine, RecordFilter(**chosen), limit)]
