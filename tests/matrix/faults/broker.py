"""Injects faults of RabbitMQ."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from matrix.attempt import Attempt
from support.cluster import MODEL_CALLS_AT_ONCE

_NORMAL_WATERMARK = "0.4"


async def killed(attempt: Attempt) -> None:
    """Kill the broker with SIGKILL and start it again from its disk."""
    rabbitmq = attempt.system.rabbitmq
    # RabbitMQ 3.10 may forget a queue that was declared seconds before a SIGKILL; these stand for longer.
    await asyncio.to_thread(rabbitmq.ctl, "eval", "dets:sync(ra_directory_reverse).")
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    await asyncio.to_thread(rabbitmq.kill)
    await asyncio.to_thread(rabbitmq.start)


async def connections_closed(attempt: Attempt) -> None:
    """Close all connections from the broker's side."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    await asyncio.to_thread(
        attempt.system.rabbitmq.ctl, "close_all_connections", "--vhost", attempt.system.vhost, "fault matrix"
    )


async def queue_deleted(attempt: Attempt) -> None:
    """Delete a stage's queue with its messages, and apply the topology again."""
    queue = attempt.chance.choice(["loom.transform", "loom.evaluate", "loom.load", "loom.extract"])
    attempt.notes.append(queue)
    attempt.asked_again = True
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    attempt.system.rabbitmq.api("DELETE", f"/queues/{quote(attempt.system.vhost)}/{quote(queue)}")
    await asyncio.sleep(attempt.chance.uniform(0.1, 3))
    await attempt.system.declare()


async def wiped(attempt: Attempt) -> None:
    """Delete the broker's disk, with all queues, exchanges and messages, and apply the topology again."""
    attempt.asked_again = True
    await attempt.begin()
    await attempt.wait_until_midway()
    await wipe(attempt)


async def wiped_at_the_end(attempt: Attempt) -> None:
    """Wipe the broker while the last batches are loaded."""
    attempt.asked_again = True
    await attempt.begin()
    await attempt.wait_for_calls(attempt.records)
    await asyncio.sleep(attempt.chance.uniform(0, 0.5))
    await wipe(attempt)


async def wiped_while_finalizing(attempt: Attempt) -> None:
    """Wipe the broker while the loader finalizes the run, and kill the loader, so that no process knows of the
    message."""
    attempt.asked_again = True
    await attempt.system.restart_with_failpoints({"loader": "loader:before_publish:*:sleep=1"})
    await attempt.begin()
    query = "SELECT finalizing FROM pipeline_runs WHERE run_id = $1"
    while not (await attempt.system.rows(query, attempt.run_id))[0][0]:
        await asyncio.sleep(0.02)
    attempt.system.kill("loader")
    await wipe(attempt)


async def wipe(attempt: Attempt) -> None:
    """Delete the broker's disk while a run is at work, and apply the topology again."""
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    system = attempt.system
    await asyncio.to_thread(system.rabbitmq.wipe)
    system.make_vhost()
    await asyncio.sleep(attempt.chance.uniform(0.1, 3))
    await system.declare()


async def memory_alarm(attempt: Attempt, seconds: float = 30.0) -> None:
    """Set a memory alarm, so that the broker accepts no messages for a while."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.fault_begins()
    ctl = attempt.system.rabbitmq.ctl
    await asyncio.to_thread(ctl, "set_vm_memory_high_watermark", "0.0001")
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(ctl, "set_vm_memory_high_watermark", _NORMAL_WATERMARK)
