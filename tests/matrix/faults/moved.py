"""Faults while records are only moved: a pipeline whose transform and evaluation have nothing to do."""

from __future__ import annotations

import asyncio
import json

from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.flow import Binding, Exchange, Stage
from matrix.attempt import BATCH, Attempt
from matrix.faults.broker import wipe
from matrix.invariants import asked_again, books, compare
from support.projects import PASSTHROUGH, project, reviews

RECORDS = 4000
_BETWEEN = (Stage.TRANSFORM, Stage.EVALUATE)


async def killed(attempt: Attempt, service: str, *, every_hop: bool = False) -> None:
    """Send SIGKILL at a random moment. With `every_hop` the batches visit all stages, else the loader follows the
    extractor."""
    bus = await AmqpBus.connect(attempt.system.bus_url, name="matrix")
    try:
        taps = [await bus.temporary_queue([Binding(Exchange.WORK, f"{stage}.{attempt.name}")]) for stage in _BETWEEN]
        await _begin(attempt, every_hop=every_hop)
        attempt.fault_begins()
        attempt.system.kill(service)
        await attempt.end()
        sent = [await bus.depth(tap) for tap in taps]
    finally:
        await bus.close()
    if any(bool(messages) != every_hop for messages in sent):
        raise AssertionError(f"{' and '.join(_BETWEEN)} were sent {sent} messages")


async def one_of_two_extractors(attempt: Attempt) -> None:
    """Send SIGKILL to one of two extractors that read the partitions of one source."""
    second = "extractor.2"
    attempt.system.cluster.begin(second)
    try:
        await asyncio.sleep(3)  # until it consumes, too
        await _begin(attempt, every_hop=False, partitions=4)
        attempt.fault_begins()
        attempt.system.kill(attempt.chance.choice(["extractor", second]))
        await attempt.end()
    finally:
        attempt.system.cluster.drop(second)
    [found] = await attempt.system.rows("SELECT count(*) FROM partitions WHERE run_id = $1", attempt.run_id)
    if found[0] != 4:  # as asked for
        raise AssertionError(f"the source was read in {found[0]} partitions")


async def wiped(attempt: Attempt) -> None:
    """Delete the broker's disk, with all queues, exchanges and messages, and apply the topology again."""
    attempt.asked_again = True
    await _begin(attempt, every_hop=False)
    await wipe(attempt)


async def _begin(attempt: Attempt, *, every_hop: bool, partitions: int = 1) -> None:
    """Start the run, and wait until a random moment in the middle of it."""
    if every_hop:
        await attempt.system.restart_with({"coordinator": {"LOOM_EVERY_HOP": "true"}})
        attempt.system.deaths.clear()
    attempt.records = RECORDS
    attempt.made = project(
        attempt.system.cluster.project / attempt.name,
        RECORDS,
        name=attempt.name,
        transform=PASSTHROUGH,
        destination=f"${{RESULTS}}?table={attempt.table}",
        extract={"batch_size": BATCH, "partitions": partitions},
    )

    async def check(attempt: Attempt) -> list[str]:
        report = await attempt.report()
        found = [] if report["status"] == "succeeded" else [f"{report['status']}: {report['error']}"]
        wanted = {each["id"]: each["review"] for each in reviews(RECORDS)}
        found += books(report) + compare(wanted, [(row["id"], row["review"]) for row in await attempt.loaded_rows()])
        told = await attempt.system.rows("SELECT seconds FROM batches WHERE run_id = $1", attempt.run_id)
        stages = {stage for row in told for stage in json.loads(row["seconds"])}
        if stages != {"load"}:
            found.append(f"facts were told by {sorted(stages)}, not by the loader alone")
        return found + asked_again(attempt)

    attempt.check = check
    attempt.run_id = await attempt.start(attempt.made)
    await attempt.wait_for_loaded(attempt.chance.randrange(RECORDS // 10, RECORDS // 2))
