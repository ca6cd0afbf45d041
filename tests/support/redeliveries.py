"""Asks the broker which messages of the stages it has delivered again."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, urlsplit

from loom_common.flow import Stage, work_queue
from loom_dev.backends import RabbitMQ
from loom_dev.waiting import within

_LOOK_SECONDS = 0.2


async def redelivered(broker: RabbitMQ, bus_url: str) -> dict[str, int]:
    """Return how often messages were delivered again, by the queue of a stage, once all that were ever published there
    are counted as acknowledged: the broker counts some seconds later."""
    vhost = quote(urlsplit(bus_url).path.removeprefix("/"), safe="")
    queues = [work_queue(stage) for stage in Stage]
    async with within(60):
        while True:
            told = await asyncio.to_thread(broker.api, "GET", f"/queues/{vhost}")
            counts: dict[str, dict[str, Any]] = {each["name"]: each.get("message_stats", {}) for each in told}
            if all(counts[name].get("ack", 0) >= counts[name].get("publish", 0) for name in queues):
                return {name: counts[name].get("redeliver", 0) for name in queues}
            await asyncio.sleep(_LOOK_SECONDS)
