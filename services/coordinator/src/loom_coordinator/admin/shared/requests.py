"""Sends a command to the coordinator by message, and waits for its answer."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from loom_common import flow
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunAccepted, RunCommand, RunRejected
from loom_common.errors import ConfigurationError, DependencyUnavailable
from loom_common.ports.bus import Bus

ANSWER_SECONDS = 30.0
"""Says how long a coordinator may take to answer."""


async def ask(bus: Bus, command: RunCommand, within: float = ANSWER_SECONDS) -> RunAccepted:
    """Send a request, and wait for what comes of it. Raises `ConfigurationError` where it is refused,
    `DependencyUnavailable` where nobody answers: the command is then still in the queue."""
    queue = await bus.temporary_queue()
    question = uuid4().hex
    outgoing = Outgoing(flow.run_command(command.verb), command, reply_to=queue, correlation_id=question)
    answers = await bus.subscribe(queue, prefetch=1)
    try:
        await bus.publish([encode(outgoing, "loom-admin")])
        async with asyncio.timeout(within):
            async for delivery in answers:
                await delivery.ack()
                if delivery.correlation_id == question:
                    answer = decode(delivery, RunAccepted, RunRejected)
                    break
    except TimeoutError:
        raise DependencyUnavailable(
            f"No coordinator answered within {within:g} s. The command waits in the queue {flow.RUNS_QUEUE} and will "
            "be carried out once one runs."
        ) from None
    finally:
        await answers.close()
    if isinstance(answer, RunRejected):
        raise ConfigurationError(answer.error)
    assert isinstance(answer, RunAccepted)
    return answer
