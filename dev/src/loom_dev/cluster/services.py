"""Describes the six services, and how to see from outside whether they serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel

from loom_common.flow import QUARANTINE_QUEUE, RUNS_QUEUE, Stage, work_queue
from loom_dev.errors import SetupError

MOST = 64
"""The most replicas of one service on one machine. A higher number is taken for a typing mistake."""


@dataclass(frozen=True, slots=True)
class Service:
    """Describes a service, whose module is `loom_<name>`. A replica serves once it consumes `queue`."""

    name: str
    queue: str
    scalable: bool = True

    @property
    def variable(self) -> str:
        """Return the variable that sets its number of replicas: `TRANSFORMERS=3`."""
        return f"{self.name.upper()}S"


SERVICES = (
    Service("coordinator", RUNS_QUEUE, scalable=False),
    Service("extractor", work_queue(Stage.EXTRACT)),
    Service("transformer", work_queue(Stage.TRANSFORM)),
    Service("evaluator", work_queue(Stage.EVALUATE)),
    Service("loader", work_queue(Stage.LOAD)),
    Service("quarantine", QUARANTINE_QUEUE, scalable=False),
)


def replicas(environ: Mapping[str, str], running: Mapping[str, int]) -> dict[str, int]:
    """Return the number of replicas of each: from `environ`, else as many as are `running`, else one. Raises
    `SetupError`."""
    wanted = {service.name: running.get(service.name, 1) for service in SERVICES}
    for service in SERVICES:
        text = environ.get(service.variable, "") if service.scalable else ""
        if text and not (text.isdecimal() and 1 <= int(text) <= MOST):
            raise SetupError(f"{service.variable}={text}: expected a number from 1 to {MOST}.")
        if text:
            wanted[service.name] = int(text)
    return wanted


async def missing(bus_url: str, wanted: Mapping[str, int]) -> list[str]:
    """Return the services of which fewer replicas consume than wanted."""
    connection = await aio_pika.connect(bus_url)
    async with connection:
        channel = await connection.channel()
        return [service.name for service in SERVICES if await _consumers(channel, service.queue) < wanted[service.name]]


async def _consumers(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.consumer_count or 0
