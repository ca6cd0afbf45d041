"""Poison among the records, commands in the middle of a run, and runs beside each other."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from matrix.invariants import books, compare
from matrix.trial import Trial
from support.projects import project, python, review_ids

RECORDS = 60
POISON = "r000017"
CODE = f"""
import os
import time

def raises(record):
    if record["id"] == "{POISON}":
        raise ValueError("cannot be judged")
    return {{"mood": "good"}}

def kills(record):
    if record["id"] == "{POISON}":
        os._exit(70)
    return {{"mood": "good"}}

def hangs(record):
    if record["id"] == "{POISON}":
        time.sleep(3600)
    return {{"mood": "good"}}
"""


async def poison(trial: Trial, how: Literal["raises", "kills", "hangs"]) -> None:
    """One record does it, every time; only it is kept back."""
    trial.records = RECORDS
    trial.made = project(
        trial.arena.cluster.project / trial.name,
        RECORDS,
        name=trial.name,
        transform=python(f"transforms:{how}"),
        code=CODE,
        destination=f"${{RESULTS}}?table={trial.table}",
        extract={"batch_size": 10},
    )
    if how == "hangs":
        trial.made.say(timeouts={"record": "1s"})

    async def check(trial: Trial) -> list[str]:
        report = await trial.report()
        found = [] if report["status"] == "succeeded" else [f"{report['status']}: {report['error']}"]
        wanted = {key: "good" for key in review_ids(RECORDS) if key != POISON}
        found += books(report) + compare(wanted, [(row["id"], row["mood"]) for row in await trial.loaded_rows()])
        kept = await trial.arena.rows("SELECT record_id FROM quarantined_records WHERE run_id = $1", trial.run_id)
        if [row["record_id"] for row in kept] != [POISON]:
            found.append(f"kept back: {[row['record_id'] for row in kept]}")
        return found

    trial.check = check
    trial.struck()
    trial.run_id = await trial.start(trial.made)


async def cancelled_and_resumed(trial: Trial) -> None:
    """Three times."""
    await trial.begin()
    trial.struck()
    trial.repeatable_calls = 0
    for part in (1, 2, 3):
        await trial.asked(trial.records * part // 5)
        await trial.command("cancel")
        await asyncio.sleep(trial.chance.uniform(0, 0.5))
        await trial.command("resume")


async def paused_for_an_hour(trial: Trial) -> None:
    """Of virtual time: all that is written down of the run becomes an hour older while it is paused."""
    await trial.begin()
    await trial.midway()
    trial.struck()
    await trial.command("interrupt")
    for table, columns in (
        ("pipeline_runs", ("started_at", "deadline", "execution_date")),
        ("slices", ("issued_at",)),
        ("batches", ("updated_at",)),
    ):
        sets = ", ".join(f"{column} = {column} - interval '1 hour'" for column in columns)
        await trial.arena.rows(f"UPDATE {table} SET {sets} WHERE run_id = $1", trial.run_id)
    await asyncio.sleep(2)
    await trial.command("resume")


async def small_beside_large(trial: Trial, times: int = 100, small: int = 240) -> None:
    """A run beside one that is a hundred times larger ends within twice the time it takes alone."""
    arena = trial.arena
    alone = await _seconds(trial, f"{trial.name}_alone", small)
    big = Trial(arena, trial.chance, f"{trial.name}_large")
    await big.begin(small * times)
    await big.asked(arena.model.calls + 1000)
    trial.struck()
    beside = await _seconds(trial, trial.name, small)
    trial.notes.append(f"{alone:.1f} s alone, {beside:.1f} s beside")
    trial.records, trial.asks_twice = 2 * small, True
    await big.command("cancel")
    await big.end()

    async def check(trial: Trial) -> list[str]:
        found = books(await trial.report()) + books(await big.report())
        if beside > 2 * alone:
            found.append(f"{beside:.1f} s beside the large run, {alone:.1f} s alone")
        return found

    trial.check = check


async def _seconds(trial: Trial, name: str, records: int) -> float:
    trial.name = name
    began = time.monotonic()
    await trial.begin(records)
    await trial.end()
    return time.monotonic() - began
