"""What can happen to RabbitMQ."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from matrix.trial import Trial
from support.cluster import MODEL_CALLS_AT_ONCE

_NORMAL_WATERMARK = "0.4"


async def killed(trial: Trial) -> None:
    """SIGKILL, and started again with what it had on disk."""
    rabbitmq = trial.arena.rabbitmq
    # RabbitMQ 3.10 may forget a queue that was declared seconds before a SIGKILL; these stand for longer.
    await asyncio.to_thread(rabbitmq.ctl, "eval", "dets:sync(ra_directory_reverse).")
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    await asyncio.to_thread(rabbitmq.kill)
    await asyncio.to_thread(rabbitmq.start)


async def connections_closed(trial: Trial) -> None:
    """By its operator, all of them."""
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    await asyncio.to_thread(
        trial.arena.rabbitmq.ctl, "close_all_connections", "--vhost", trial.arena.vhost, "fault matrix"
    )


async def queue_deleted(trial: Trial) -> None:
    """A stage's queue with all that was in it; the topology is applied again."""
    queue = trial.chance.choice(["loom.transform", "loom.evaluate", "loom.load", "loom.extract"])
    trial.notes.append(queue)
    trial.asked_again = True
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    trial.arena.rabbitmq.api("DELETE", f"/queues/{quote(trial.arena.vhost)}/{quote(queue)}")
    await asyncio.sleep(trial.chance.uniform(0.1, 3))
    await trial.arena.declare()


async def wiped(trial: Trial) -> None:
    """Its disk is lost: all queues, exchanges and messages are gone; the topology is applied again."""
    trial.asked_again = True
    await trial.begin()
    await trial.midway()
    await _wipe(trial)


async def wiped_at_the_end(trial: Trial) -> None:
    """The same as the last batches land."""
    trial.asked_again = True
    await trial.begin()
    await trial.asked(trial.records)
    await asyncio.sleep(trial.chance.uniform(0, 0.5))
    await _wipe(trial)


async def wiped_while_finalizing(trial: Trial) -> None:
    """The same while the loader shows the result, and the loader is killed with it: nobody knows of it any more."""
    trial.asked_again = True
    await trial.arena.arm({"loader": "loader:before_publish:*:sleep=1"})
    await trial.begin()
    query = "SELECT finalizing FROM pipeline_runs WHERE run_id = $1"
    while not (await trial.arena.rows(query, trial.run_id))[0][0]:
        await asyncio.sleep(0.02)
    trial.arena.kill("loader")
    await _wipe(trial)


async def _wipe(trial: Trial) -> None:
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    arena = trial.arena
    await asyncio.to_thread(arena.rabbitmq.wipe)
    arena.make_vhost()
    await asyncio.sleep(trial.chance.uniform(0.1, 3))
    await arena.declare()


async def memory_alarm(trial: Trial, seconds: float = 30.0) -> None:
    """The broker takes nothing for a while."""
    await trial.begin()
    await trial.midway()
    trial.struck()
    ctl = trial.arena.rabbitmq.ctl
    await asyncio.to_thread(ctl, "set_vm_memory_high_watermark", "0.0001")
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(ctl, "set_vm_memory_high_watermark", _NORMAL_WATERMARK)
