"""Checks what must hold after every fault, and describes everything that does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from loom_common.domain.schema.output import json_schema
from loom_common.flow import DEAD_QUEUE
from matrix.attempt import LEAST_CONFIDENCE, OUTPUT, PROMPT, SETTLE_SECONDS, Attempt
from matrix.cluster_under_test import ClusterUnderTest
from support.books import ENDS
from support.projects import reviews
from support.simulated_model import answer_for


def expected(records: int) -> tuple[dict[str, tuple[Any, Any]], set[str]]:
    """Return the values that the usual run must load, by key, and the keys of the records that its gate must reject."""
    schema = json_schema(OUTPUT)
    answers = {each["id"]: answer_for(schema, PROMPT.format(**each)) for each in reviews(records)}
    passed = {
        key: (it["mood"], it["confidence"]) for key, it in answers.items() if it["confidence"] >= LEAST_CONFIDENCE
    }
    return passed, set(answers) - set(passed)


async def troubles(attempt: Attempt) -> list[str]:
    """Return a description of each promise that was broken."""
    try:
        status = await attempt.end()
    except TimeoutError:
        return [f"not ended after {attempt.end_seconds:g} s: {await standing(attempt)}"]
    found = await unsettled(attempt.system, attempt.run_id, attempt.dead_letters, attempt.settle_seconds)
    if attempt.check is not None:
        return found + await attempt.check(attempt)
    found += await of_the_run(attempt, status)
    calls = attempt.system.model.calls
    if calls > attempt.records + attempt.repeatable_calls:
        found.append(f"{calls} model calls for {attempt.records} records, {attempt.repeatable_calls} may be repeated")
    said = attempt.system.cluster.troubles() if attempt.never_logged else ""
    found += [f"logged {said.count(words)} times: {words}" for words in attempt.never_logged if words in said]
    return found + asked_again(attempt)


async def of_the_run(attempt: Attempt, status: str) -> list[str]:
    """Check the status, the counts, the rows and the quarantine of a usual run."""
    report = await attempt.report()
    found = [] if status == "succeeded" else [f"{status}: {report['error']}"]
    found += books(report)
    loads, rejects = expected(attempt.records)
    rows = await attempt.loaded_rows()
    found += compare(loads, [(row["id"], (row["mood"], row["confidence"])) for row in rows])
    kept = await attempt.system.rows(
        "SELECT record_id, outcome FROM quarantined_records WHERE run_id = $1", attempt.run_id
    )
    if {row["record_id"] for row in kept} != rejects or len(kept) != len(rejects):
        found.append(f"quarantine holds {len(kept)} records, not the {len(rejects)} rejected")
    counts = report["records"]
    if (counts["extracted"], counts["loaded"], counts["rejected"]) != (attempt.records, len(loads), len(rejects)):
        found.append(f"counted {counts}")
    return found


def asked_again(attempt: Attempt) -> list[str]:
    """Check that no work was published again where no message was destroyed."""
    log = attempt.system.cluster.words("coordinator", 1_000_000)
    count = log.count("lost: asked for again") + log.count("stalled: batches asked for again")
    if count and not attempt.asked_again:
        return [f"work was lost, and asked for again {count} times, though nothing had destroyed it"]
    return []


def books(report: Mapping[str, Any]) -> list[str]:
    records = report["records"]
    balanced = records["extracted"] == sum(records[end] for end in ENDS)
    return [] if balanced else [f"the books do not balance: {records}"]


def compare(wanted: Mapping[str, Any], rows: list[tuple[str, Any]]) -> list[str]:
    """Check that the destination holds each key once, with the right value."""
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


async def unsettled(
    system: ClusterUnderTest, run_id: str, dead_letters: int, seconds: float = SETTLE_SECONDS
) -> list[str]:
    """Return what is left on the bus, in flight or in the outbox after some seconds."""
    left: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while left := await _left(system, run_id, dead_letters):
                await asyncio.sleep(0.2)
    return left


async def _left(system: ClusterUnderTest, run_id: str, dead_letters: int) -> list[str]:
    try:
        ready_messages = await system.ready_messages()
    except Exception as error:  # noqa: BLE001 - the broker may still be on its way back
        return [f"the broker does not answer: {error}"]
    found = []
    if (held := ready_messages.pop(DEAD_QUEUE, 0)) != dead_letters:
        found.append(f"loom.dead holds {held} and not {dead_letters}")
    if ready_messages:
        found.append(f"messages left: {ready_messages}")
    for what, query in (
        ("outbox rows", "SELECT count(*) FROM outbox WHERE $1 <> ''"),
        ("batches underway", "SELECT count(*) FROM batches WHERE run_id = $1 AND state = 'underway'"),
        ("slices unanswered", "SELECT count(*) FROM slices WHERE run_id = $1 AND state = 'issued'"),
    ):
        if count := (await system.rows(query, run_id))[0][0]:
            found.append(f"{what} left: {count}")
    in_flight = (
        "SELECT coalesce(sum((queue->>'in_hand')::int), 0) FROM replicas, "
        "jsonb_array_elements((beat->'queues')::jsonb) queue WHERE seen_at > now() - interval '5 seconds'"
    )
    if count := (await system.rows(in_flight))[0][0]:
        found.append(f"messages in flight: {count}")
    if marks := await system.marks():
        found.append(f"started-marks left: {marks}")
    return found


async def standing(attempt: Attempt) -> str:
    """Describe the state of a run that does not end."""
    query = "SELECT stage, state, count(*) FROM batches WHERE run_id = $1 GROUP BY 1, 2"
    batches = [tuple(row) for row in await attempt.system.rows(query, attempt.run_id)]
    runs = await attempt.system.rows(
        "SELECT status, notice, finalizing FROM pipeline_runs WHERE run_id = $1", attempt.run_id
    )
    return f"run {[tuple(row) for row in runs]}, batches {batches}, " + "; ".join(
        await _left(attempt.system, attempt.run_id, attempt.dead_letters)
    )
