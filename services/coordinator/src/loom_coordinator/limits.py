"""How many failed records a stage takes before the run is ended, counted from where it was resumed last. Pure, but for
`counts`, which adds up the batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, case, func, select

from loom_common.domain.definition import parse
from loom_common.domain.failing import Recovery
from loom_common.flow import Stage
from loom_coordinator.tables import batches
from loom_coordinator.unit import Unit

LEAST_RECORDS = 20
"""Records that have been through a stage before its rate of failures says anything."""


@dataclass(frozen=True, slots=True)
class Count:
    """Records that have been through a stage, and those of them that failed there. A rejected record did not fail."""

    seen: int
    failed: int

    def __sub__(self, before: Count) -> Count:
        return Count(self.seen - before.seen, self.failed - before.failed)


def exceeded(limits: Mapping[Stage, Recovery], counted: Mapping[Stage, Count]) -> str | None:
    """Which limit was passed, in words; None where none was."""
    for stage, limit in limits.items():
        count = counted.get(stage, Count(0, 0))
        if limit.max_failures is not None and count.failed > limit.max_failures:
            return f"{stage}: {count.failed} records failed; max_failures is {limit.max_failures}"
        rate = count.failed / count.seen if count.seen >= LEAST_RECORDS else 0.0
        if limit.max_failure_rate is not None and rate > limit.max_failure_rate:
            return (
                f"{stage}: {count.failed} of {count.seen} records failed ({rate:.1%}); max_failure_rate is "
                f"{limit.max_failure_rate:.1%}"
            )
    return None


def limits_of(definition: Mapping[str, Any]) -> dict[Stage, Recovery]:
    """The stages of a definition that set a limit."""
    named = {"max_failures", "max_failure_rate"}
    if not any(isinstance(section, Mapping) and named & section.keys() for section in definition.values()):
        return {}  # the common case, decided without reading the definition as a whole
    pipeline = parse(definition)
    sections: dict[Stage, Recovery | None] = {
        Stage.EXTRACT: pipeline.extract,
        Stage.TRANSFORM: pipeline.transform,
        Stage.EVALUATE: pipeline.evaluate,
        Stage.LOAD: pipeline.load,
    }
    return {stage: section for stage, section in sections.items() if section is not None}


async def passed(unit: Unit, run: RowMapping) -> str | None:
    """The limit that the run has passed, in words; None where it has none or is within them."""
    limits = limits_of(run["definition"])
    if not limits:
        return None
    before = {Stage(stage): Count(*pair) for stage, pair in (run["counted_before"] or {}).items()}
    return exceeded(limits, since(before, await counts(unit, run["run_id"])))


async def so_far(unit: Unit, run: RowMapping) -> dict[str, list[int]] | None:
    """What a run that is resumed has counted: it is within its limits again. None where it has none."""
    if not limits_of(run["definition"]):
        return None
    counted = await counts(unit, run["run_id"])
    return {stage.value: [count.seen, count.failed] for stage, count in counted.items()}


def since(before: Mapping[Stage, Count], counted: Mapping[Stage, Count]) -> dict[Stage, Count]:
    """What was counted after `before`."""
    return {stage: count - before.get(stage, Count(0, 0)) for stage, count in counted.items()}


async def counts(unit: Unit, run_id: str) -> dict[Stage, Count]:
    """Per stage, from the tallies of the batches that are done with it. A batch whose slice has not told of it yet
    counts for nothing: what its extraction kept back cannot be told from what its transform did."""
    columns = batches.c
    pairs: dict[Stage, tuple[ColumnElement[int], ColumnElement[int]]] = {
        Stage.EXTRACT: (columns.extracted, columns.unread),
        Stage.TRANSFORM: (columns.extracted - columns.unread, columns.extracted - columns.unread - columns.transformed),
        Stage.EVALUATE: (columns.transformed, columns.transformed - columns.passed - columns.rejected),
        Stage.LOAD: (columns.passed, columns.passed - columns.loaded),
    }
    order = list(Stage)
    sums = [
        func.coalesce(func.sum(case((columns.stage.in_(order[place:]), value), else_=0)), 0)
        for place, stage in enumerate(order)
        for value in pairs[stage]
    ]
    query = select(*sums).where(columns.run_id == run_id, columns.unread >= 0)
    row = (await unit.connection.execute(query)).one()
    return {stage: Count(int(row[2 * place]), int(row[2 * place + 1])) for place, stage in enumerate(order)}
