"""What must hold after every fault. One checker for all of them; it says everything that is wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from loom_common.domain.definition.output import json_schema
from loom_common.flow import DEAD_QUEUE
from matrix.arena import Arena
from matrix.trial import LEAST_CONFIDENCE, OUTPUT, PROMPT, SETTLE_SECONDS, Trial
from support.books import ENDS
from support.projects import reviews
from support.simulated_model import answer_for


def expected(records: int) -> tuple[dict[str, tuple[Any, Any]], set[str]]:
    """What the usual run must load, by key, and the keys of what its gate must reject."""
    schema = json_schema(OUTPUT)
    answers = {each["id"]: answer_for(schema, PROMPT.format(**each)) for each in reviews(records)}
    passed = {
        key: (it["mood"], it["confidence"]) for key, it in answers.items() if it["confidence"] >= LEAST_CONFIDENCE
    }
    return passed, set(answers) - set(passed)


async def troubles(trial: Trial) -> list[str]:
    """All that is not as promised, in words; empty where everything is."""
    try:
        status = await trial.end()
    except TimeoutError:
        return [f"not ended after {trial.end_seconds:g} s: {await standing(trial)}"]
    found = await unsettled(trial.arena, trial.run_id, trial.dead, trial.settle_seconds)
    if trial.check is not None:
        return found + await trial.check(trial)
    found += await of_the_run(trial, status)
    calls = trial.arena.model.calls
    if calls > trial.records + trial.repeatable_calls:
        found.append(f"{calls} model calls for {trial.records} records, {trial.repeatable_calls} may be repeated")
    said = trial.arena.cluster.troubles() if trial.never_logged else ""
    found += [f"logged {said.count(words)} times: {words}" for words in trial.never_logged if words in said]
    return found + asked_again(trial)


async def of_the_run(trial: Trial, status: str) -> list[str]:
    """What is wrong with the usual run itself: its status, its books, its rows, its quarantine."""
    report = await trial.report()
    found = [] if status == "succeeded" else [f"{status}: {report['error']}"]
    found += books(report)
    loads, rejects = expected(trial.records)
    rows = await trial.loaded_rows()
    found += compare(loads, [(row["id"], (row["mood"], row["confidence"])) for row in rows])
    kept = await trial.arena.rows("SELECT record_id, outcome FROM quarantined_records WHERE run_id = $1", trial.run_id)
    if {row["record_id"] for row in kept} != rejects or len(kept) != len(rejects):
        found.append(f"quarantine holds {len(kept)} records, not the {len(rejects)} rejected")
    counts = report["records"]
    if (counts["extracted"], counts["loaded"], counts["rejected"]) != (trial.records, len(loads), len(rejects)):
        found.append(f"counted {counts}")
    return found


def asked_again(trial: Trial) -> list[str]:
    """Where no message was destroyed, none may have been lost."""
    log = trial.arena.cluster.words("coordinator", 1_000_000)
    count = log.count("lost: asked for again") + log.count("stalled: batches asked for again")
    if count and not trial.asked_again:
        return [f"work was lost, and asked for again {count} times, though nothing had destroyed it"]
    return []


def books(report: Mapping[str, Any]) -> list[str]:
    records = report["records"]
    balanced = records["extracted"] == sum(records[end] for end in ENDS)
    return [] if balanced else [f"the books do not balance: {records}"]


def compare(wanted: Mapping[str, Any], rows: list[tuple[str, Any]]) -> list[str]:
    """Destination keys and values, each once."""
    found = []
    twice = [key for key, count in Counter(key for key, _ in rows).items() if count > 1]
    have = dict(rows)
    if twice:
        found.append(f"loaded more than once: {len(twice)}, e.g. {sorted(twice)[:3]}")
    if missing := sorted(wanted.keys() - have.keys()):
        found.append(f"missing: {len(missing)}, e.g. {missing[:3]}")
    if extra := sorted(have.keys() - wanted.keys()):
        found.append(f"not to be loaded: {len(extra)}, e.g. {extra[:3]}")
    wrong = [key for key, value in wanted.items() if key in have and have[key] != value]
    if wrong:
        found.append(f"other values: {len(wrong)}, e.g. {wrong[0]}: {have[wrong[0]]}, not {wanted[wrong[0]]}")
    return found


async def unsettled(arena: Arena, run_id: str, dead: int, seconds: float = SETTLE_SECONDS) -> list[str]:
    """What is left on the bus, in hands or in the outbox some seconds after the end."""
    left: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while left := await _left(arena, run_id, dead):
                await asyncio.sleep(0.2)
    return left


async def _left(arena: Arena, run_id: str, dead: int) -> list[str]:
    try:
        waiting = await arena.waiting()
    except Exception as error:  # noqa: BLE001 - the broker may still be on its way back
        return [f"the broker does not answer: {error}"]
    found = []
    if waiting.pop(DEAD_QUEUE, 0) != dead:
        found.append(f"loom.dead does not hold {dead}")
    if waiting:
        found.append(f"messages left: {waiting}")
    for what, query in (
        ("outbox rows", "SELECT count(*) FROM outbox WHERE $1 <> ''"),
        ("batches underway", "SELECT count(*) FROM batches WHERE run_id = $1 AND state = 'underway'"),
        ("slices unanswered", "SELECT count(*) FROM slices WHERE run_id = $1 AND state = 'issued'"),
    ):
        if count := (await arena.rows(query, run_id))[0][0]:
            found.append(f"{what} left: {count}")
    hands = (
        "SELECT coalesce(sum((queue->>'in_hand')::int), 0) FROM replicas, "
        "jsonb_array_elements((beat->'queues')::jsonb) queue WHERE seen_at > now() - interval '5 seconds'"
    )
    if count := (await arena.rows(hands))[0][0]:
        found.append(f"messages in hand: {count}")
    if marks := await arena.marks():
        found.append(f"started-marks left: {marks}")
    return found


async def standing(trial: Trial) -> str:
    """Where a run stands that does not end."""
    query = "SELECT stage, state, count(*) FROM batches WHERE run_id = $1 GROUP BY 1, 2"
    batches = [tuple(row) for row in await trial.arena.rows(query, trial.run_id)]
    runs = await trial.arena.rows(
        "SELECT status, notice, finalizing FROM pipeline_runs WHERE run_id = $1", trial.run_id
    )
    return f"run {[tuple(row) for row in runs]}, batches {batches}, " + "; ".join(
        await _left(trial.arena, trial.run_id, trial.dead)
    )
