"""Collects why records of a run were kept back: equal reasons together, each with one record to look at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import KeptReason
from loom_coordinator.db.tables.outcomes import quarantined

MOST = 5
"""The number of reasons that a report names; what is rarer is left to `loom quarantine stats`."""
_READ = 500
"""Distinct texts that are looked at, the most frequent first."""
_ALIKE = (quarantined.c.failure_stage, quarantined.c.outcome, quarantined.c.code, quarantined.c.failure_reason)
_COUNT = func.count().label("records")
_OF_RUN = (
    select(*_ALIKE, _COUNT, func.min(quarantined.c.record_id).label("example"))
    .where(quarantined.c.run_id == bindparam("run_id"))
    .group_by(*_ALIKE)
    .order_by(_COUNT.desc(), quarantined.c.failure_reason)
    .limit(_READ)
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_RAISED = re.compile(r"(?P<function>\S+) raised (?P<error>.+)", re.DOTALL)


async def of_run(connection: AsyncConnection, run_id: str) -> tuple[KeptReason, ...]:
    """Return the most frequent reasons of a run, gate rejections among them."""
    rows = await connection.execute(_OF_RUN, {"run_id": run_id})
    return grouped([dict(row) for row in rows.mappings()])


def grouped(rows: Iterable[Mapping[str, Any]]) -> tuple[KeptReason, ...]:
    """Group reasons: texts that differ in their numbers alone (lines, scores, lengths) are one reason, shown as its
    most frequent text. Rows come with the most frequent first. Pure."""
    groups: dict[tuple[str, ...], _Group] = {}
    for row in rows:
        key = (row["failure_stage"], row["outcome"], row["code"], _NUMBER.sub("#", row["failure_reason"]))
        group = groups.setdefault(key, _Group(row))
        group.records += row["records"]
        group.texts += 1
    ordered = sorted(groups.values(), key=lambda group: -group.records)[:MOST]
    return tuple(group.reason for group in ordered)


@dataclass(slots=True)
class _Group:
    row: Mapping[str, Any]
    records: int = 0
    texts: int = field(default=0)

    @property
    def reason(self) -> KeptReason:
        row = self.row
        return KeptReason(
            records=self.records,
            stage=row["failure_stage"],
            outcome=row["outcome"],
            code=row["code"],
            reason=worded(row["failure_reason"]),
            alike=self.texts == 1,
            example=row["example"],
        )


def worded(reason: str) -> str:
    """Write a reason as it stands beside a count: what was raised comes first, and where after it. Only the first
    line."""
    raised = _RAISED.fullmatch(reason)
    if raised is None:
        return reason.partition("\n")[0]
    return f"{raised['error'].partition(chr(10))[0]} in {raised['function']}"
