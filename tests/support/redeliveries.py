"""Asks the broker which messages of the stages it has delivered again."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, urlsplit

from loom_common.flow import Stage, work_queue
from loom_dev.backends import RabbitMQ
from loom_dev.waiting import within

_LOOK_SECONDS = 0.5
_SETTLED_SECONDS = 11.0
"""The broker's counts are settled once they have stayed the same for so long. It counts every five seconds."""


async def redelivered(broker: RabbitMQ, bus_url: str) -> dict[str, int]:
    """Return how often messages were delivered again, by the queue of a stage, once nothing waits there and the
    broker's counts are settled. Messages that an earlier test threw away are never acknowledged, so that
    acknowledgements do not tell when all is counted."""
    vhost = quote(urlsplit(bus_url).path.removeprefix("/"), safe="")
    queues = [work_queue(stage) for stage in Stage]
    loop = asyncio.get_running_loop()
    counts: list[dict[str, int]] = []
    since = loop.time()
    async with within(60):
        while True:
            told = {each["name"]: each for each in await asyncio.to_thread(broker.api, "GET", f"/queues/{vhost}")}
            now: list[dict[str, Any]] = [told[name].get("message_stats", {}) for name in queues]
            seen = [{name: stats.get(name, 0) for name in ("publish", "ack", "redeliver")} for stats in now]
            if seen != counts or any(told[name].get("messages", 0) for name in queues):
                counts, since = seen, loop.time()
            elif loop.time() - since > _SETTLED_SECONDS:
                return {name: each["redeliver"] for name, each in zip(queues, seen, strict=True)}
            await asyncio.sleep(_LOOK_SECONDS)
