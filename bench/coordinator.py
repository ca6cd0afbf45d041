"""Measures what a batch costs the coordinator, and what a look at a run costs, by how many batches the run has had.

The tables are filled with batches that have ended. Then the facts of more batches are taken in groups, as they come
from the bus, and the run is looked at as the sweeper and `loom status` do. Neither may cost more in a longer run.
`python -m bench.coordinator` prints a table; `--most` makes it a test."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from sqlalchemy import Integer, String, bindparam, cast, func, literal, select

from bench import figures
from bench.cpu import Meter
from loom_common.async_engine import AsyncEngine
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import BatchFact, BatchHeader, SlicedBatch, SliceExtracted
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.accounting.batch import DONE, Batch
from loom_coordinator.db import run_rows, run_totals
from loom_coordinator.db.run_totals import RunTotals
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.db.tables.work import batches, outbox, partitions, slices
from loom_coordinator.db.unit_of_work import UnitOfWork, begin
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import stalls
from loom_coordinator.lifecycle.run_progress import progress
from loom_coordinator.queries import run_details, runs
from loom_dev.backends import Postgres, start_all
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade

RUN = "run_1"
RECORDS = 100
"""The number of records in a batch."""
SLICE = 20
"""The number of batches in a slice."""
READ = Tally(extracted=RECORDS)
CHANGED = READ.plus(transformed=RECORDS)
JUDGED = CHANGED.plus(passed=RECORDS)
LOADED = JUDGED.plus(loaded=RECORDS)
DEFINITION = {
    "name": "p",
    "version": "1",
    "extract": {"source": "in.csv", "batch_size": RECORDS},
    "transform": {"type": "passthrough"},
    "load": {"destination": "out.csv"},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Says what one kind of work took, in milliseconds."""

    cpu: float
    """The CPU seconds of this process."""
    database: float
    """CPU of the database; 0 where it is in this process."""
    wall: float


class Costs:
    """Measures work that is done often."""

    def __init__(self, database: int | None) -> None:
        self._database = database

    async def of(self, work: Callable[[], Awaitable[None]], per: int = 1, times: int = 1) -> Cost:
        """The cost of `work`, done `times`, divided by `per`: as many things as it does in all."""
        meter = Meter({"database": self._database} if self._database else {})
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            await work()
        spent = (time.process_time() - cpu, meter.used().get("database", 0.0), time.perf_counter() - began)
        return Cost(*(each / (per * times) * 1000 for each in spent))


async def fill(engine: AsyncEngine, count: int) -> None:
    """Enter a run that has had `count` batches of `RECORDS` records, which have all ended."""
    now = dt.datetime.now(dt.UTC)
    async with begin(engine, now, None) as unit:
        named = {"name": "p", "version": "1", "definition": DEFINITION, "files": {}, "base": ""}
        await unit.connection.execute(pipelines.insert().values(**named, created_at=now, updated_at=now))
        await unit.connection.execute(
            pipeline_runs.insert().values(
                run_id=RUN, pipeline_name="p", pipeline_version="1", execution_date=now, started_at=now,
                status=run_rows.RUNNING, plan="plan", definition=DEFINITION, params={}, destination="out.csv", epoch=1,
                priority=5, slice_batches=SLICE, credit_window=4 * SLICE, finalizing=False,
            )
        )  # fmt: skip
        number = count // SLICE
        await unit.connection.execute(
            partitions.insert().values(
                run_id=RUN, partition=0, next_slice=number + 1, released=count + SLICE, cursor=0, sealed=False
            )
        )
        ended = Batch(RUN, "", partition=0, slice=0, position=0, stage=Stage.LOAD, tally=LOADED, unread=0)
        ended.seconds = {stage.value: 0.01 for stage in Stage}
        row = ended.row(now)
        numbers = select(literal(0, Integer).label("at")).cte("numbers", recursive=True)
        numbers = numbers.union_all(select(numbers.c.at + 1).where(numbers.c.at < bindparam("last", count - 1)))
        values = {name: literal(value, batches.c[name].type) for name, value in row.items()}
        values["batch_id"] = literal("b").concat(cast(numbers.c.at, String))
        values["slice"], values["position"] = numbers.c.at // SLICE, numbers.c.at % SLICE
        await unit.connection.execute(batches.insert().from_select(list(values), select(*values.values())))
        asked = {"run_id": RUN, "partition": 0, "cursor": 0, "max_batches": SLICE, "issued_at": now}
        read = [{**asked, "slice": each, "state": "extracted"} for each in range(number)]
        await unit.connection.execute(slices.insert(), [*read, {**asked, "slice": number, "state": "issued"}])
        totals = RunTotals(
            tally=Tally(**{name: amount * count for name, amount in LOADED}), done=count, ended=count * RECORDS,
            seconds={stage.value: 0.01 * count for stage in Stage}, heard={Stage.LOAD: now}, heard_at=now,
        )  # fmt: skip
        await run_totals.write(unit, {RUN: totals})


def told(slice_number: int) -> Iterator[Message]:
    """Return all facts of a slice of batches, in the order of stages."""
    names = [batch_id(RUN, 0, slice_number, position) for position in range(SLICE)]
    made = tuple(SlicedBatch(batch_id=name, position=at, tally=READ) for at, name in enumerate(names))
    yield SliceExtracted(
        run_id=RUN, pipeline="p", epoch=1, partition=0, slice=slice_number, batches=made, cursor=slice_number, end=False
    )
    for stage, tally in ((Stage.TRANSFORM, CHANGED), (Stage.EVALUATE, JUDGED), (Stage.LOAD, LOADED)):
        for position, name in enumerate(names):
            header = BatchHeader(
                run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=name, partition=0, slice=slice_number,
                position=position, tally=tally,
            )  # fmt: skip
            yield BatchFact(header=header, stage=stage, seconds=0.01)


def in_groups(messages: list[Message], size: int) -> Iterator[list[Message]]:
    """Return at most `size` at once."""
    for start in range(0, len(messages), size):
        yield messages[start : start + size]


async def measure(
    engine: AsyncEngine, count: int, options: argparse.Namespace, database: int | None
) -> dict[str, Cost]:
    """Return the costs beside `count` batches that have ended."""
    await upgrade(engine)
    await fill(engine, count)
    costs = Costs(database)
    number = count // SLICE

    async def unit(work: Callable[[UnitOfWork], Awaitable[object]]) -> None:
        async with begin(engine, dt.datetime.now(dt.UTC), None) as opened:
            await work(opened)

    async def slices_of_facts(several: int) -> None:
        nonlocal number
        for _ in range(several):
            for group in in_groups(list(told(number)), options.group):
                await unit(lambda opened, group=group: apply_facts.take(opened, group))  # type: ignore[misc]
            number += 1

    async def status(opened: UnitOfWork) -> None:
        await runs.shown(opened.connection, RUN)

    async def details(opened: UnitOfWork) -> None:
        await run_details.details(opened.connection, opened.now, RUN)

    async def sweep(opened: UnitOfWork) -> None:
        run = (await run_rows.lock(opened, [RUN]))[RUN]
        await progress(opened, run)
        await apply_facts.advance(opened, run)
        await stalls.look(opened, run)

    await slices_of_facts(2)
    for look in (status, details, sweep):
        await unit(look)
    found = {
        "batch": await costs.of(lambda: slices_of_facts(options.slices), per=options.slices * SLICE),
        "status": await costs.of(lambda: unit(status), times=options.looks),
        "details": await costs.of(lambda: unit(details), times=options.looks),
        "sweep": await costs.of(lambda: unit(sweep), times=options.looks),
    }
    async with engine.connect() as connection:
        left = select(func.count()).select_from(batches).where(batches.c.state != DONE)
        assert (await connection.execute(left)).scalar_one() == 0, "batches have not ended"
        assert (await connection.execute(select(func.count()).select_from(outbox))).scalar_one() >= options.slices
    return found


async def on_postgres(options: argparse.Namespace) -> dict[int, dict[str, Cost]]:
    """Measure in a database of its own for each number of batches."""
    server = Postgres(durable=True)
    start_all(server)
    found = {}
    try:
        for count in options.batches:
            async with server.database() as url:
                engine = open_engine(url, ping_after=1.0)
                found[count] = await measure(engine, count, options, server.pid)
                await engine.dispose()
    finally:
        server.close()
    return found


async def on_sqlite(options: argparse.Namespace) -> dict[int, dict[str, Cost]]:
    """Measure in a file of its own for each number of batches."""
    found = {}
    for count in options.batches:
        with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
            engine = open_engine(f"sqlite:///{Path(folder, 'loom.db')}")
            found[count] = await measure(engine, count, options, None)
            await engine.dispose()
    return found


def shown(title: str, found: dict[int, dict[str, Cost]]) -> str:
    """Return a line for each number of batches."""
    lines = [title, f"{'batches':>9}  {'work':<8}  {'CPU ms':>7}  {'database CPU ms':>15}  {'ms':>7}"]
    for count, costs in found.items():
        for name, cost in costs.items():
            lines.append(f"{count:>9,}  {name:<8}  {cost.cpu:>7.3f}  {cost.database:>15.3f}  {cost.wall:>7.3f}")
    return "\n".join(lines)


def main() -> None:
    """Exit code 1 where a batch costs more than `--most`."""
    parser = argparse.ArgumentParser(prog="python -m bench.coordinator", description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="ended before")
    parser.add_argument("--slices", type=int, default=20, help=f"of {SLICE} batches whose facts are taken")
    parser.add_argument("--group", type=int, default=30, help="facts taken together")
    parser.add_argument("--looks", type=int, default=20, help="at the run")
    parser.add_argument("--only", choices=("postgres", "sqlite"), help="one half alone")
    parser.add_argument("--most", type=float, help="fail where a batch takes more CPU milliseconds")
    options = parser.parse_args()
    found = []
    for name, way in (("postgres", on_postgres), ("sqlite", on_sqlite)):
        if options.only in (None, name):
            found.append(uvloop.run(way(options)))
            print(shown(f"Costs of the coordinator on {name}", found[-1]) + "\n", flush=True)
    dearest = max(median(costs["batch"].cpu for costs in each.values()) for each in found)
    figures.keep("coordinator", dearest, f"{max(options.batches):,} batches")
    if options.most is not None and dearest > options.most:
        sys.exit(f"bench: a batch took {dearest:.2f} ms of CPU; at most {options.most:g} was asked for")


if __name__ == "__main__":
    main()
