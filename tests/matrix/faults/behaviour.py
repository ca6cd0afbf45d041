"""Injects faults within a run: poison records, commands in the middle of a run, and concurrent runs."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from loom.session import Session
from matrix.attempt import Attempt
from matrix.invariants import books, compare
from support.poison import CODE, POISON
from support.projects import project, python, review_ids

RECORDS = 60


async def poison(attempt: Attempt, how: Literal["raises", "kills", "hangs"]) -> None:
    """One record raises, kills or hangs on every try; only that record may be quarantined."""
    attempt.records = RECORDS
    attempt.made = project(
        attempt.system.cluster.project / attempt.name,
        RECORDS,
        name=attempt.name,
        transform=python(f"transforms:{how}"),
        code=CODE,
        destination=f"${{RESULTS}}?table={attempt.table}",
        extract={"batch_size": 10},
    )
    if how == "hangs":
        attempt.made.say(timeouts={"record": "1s"})

    async def check(attempt: Attempt) -> list[str]:
        report = await attempt.report()
        found = [] if report["status"] == "succeeded" else [f"{report['status']}: {report['error']}"]
        wanted = {key: "good" for key in review_ids(RECORDS) if key != POISON}
        found += books(report) + compare(wanted, [(row["id"], row["mood"]) for row in await attempt.loaded_rows()])
        kept = await attempt.system.rows("SELECT record_id FROM quarantined_records WHERE run_id = $1", attempt.run_id)
        if [row["record_id"] for row in kept] != [POISON]:
            found.append(f"kept back: {[row['record_id'] for row in kept]}")
        return found

    attempt.check = check
    attempt.fault_begins()
    attempt.run_id = await attempt.start(attempt.made)


async def cancelled_and_resumed(attempt: Attempt) -> None:
    """Cancel and resume the run three times."""
    await attempt.begin()
    attempt.fault_begins()
    attempt.repeatable_calls = 0
    for part in (1, 2, 3):
        await attempt.wait_for_calls(attempt.records * part // 5)
        await attempt.command(Session.cancel)
        await asyncio.sleep(attempt.chance.uniform(0, 0.5))
        await attempt.command(Session.resume)


async def paused_for_an_hour(attempt: Attempt) -> None:
    """Pause the run for an hour of virtual time, by making all its timestamps an hour older."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.fault_begins()
    await attempt.command(Session.pause)
    for table, columns in (
        ("pipeline_runs", ("started_at", "deadline", "execution_date")),
        ("slices", ("issued_at",)),
        ("batches", ("updated_at",)),
    ):
        sets = ", ".join(f"{column} = {column} - interval '1 hour'" for column in columns)
        await attempt.system.rows(f"UPDATE {table} SET {sets} WHERE run_id = $1", attempt.run_id)
    await asyncio.sleep(2)
    await attempt.command(Session.resume)


async def small_beside_large(attempt: Attempt, times: int = 100, small: int = 240) -> None:
    """A run beside one that is a hundred times larger must end within twice the time that it takes alone."""
    system = attempt.system
    alone = await _seconds(attempt, f"{attempt.name}_alone", small)
    big = Attempt(system, attempt.chance, f"{attempt.name}_large")
    await big.begin(small * times)
    await big.wait_for_calls(system.model.calls + 1000)
    attempt.fault_begins()
    beside = await _seconds(attempt, attempt.name, small)
    attempt.notes.append(f"{alone:.1f} s alone, {beside:.1f} s beside")
    attempt.records, attempt.asks_twice = 2 * small, True
    await big.command(Session.cancel)
    await big.end()

    async def check(attempt: Attempt) -> list[str]:
        found = books(await attempt.report()) + books(await big.report())
        if beside > 2 * alone:
            found.append(f"{beside:.1f} s beside the large run, {alone:.1f} s alone")
        return found

    attempt.check = check


async def _seconds(attempt: Attempt, name: str, records: int) -> float:
    attempt.name = name
    began = time.monotonic()
    await attempt.begin(records)
    await attempt.end()
    return time.monotonic() - began
