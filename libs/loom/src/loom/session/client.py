"""Starts, follows and commands runs as one client of the bus, in the same words embedded and in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

from loom.session.port import NOBODY, Asker, Event, RunEngine
from loom_common import flow
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import (
    PipelineRegistered,
    RunAccepted,
    RunFinished,
    RunProgress,
    RunRejected,
    RunRequest,
)
from loom_common.domain.values.ids import canary_run_id, window_run_id
from loom_common.errors import ConfigurationError, DependencyUnavailable, InvalidDefinition, Problem, UnreadableMessage
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Delivery, Subscription

ANSWER_SECONDS = 30.0
"""Says how long the coordinator may take to answer."""
_WINDOWS_AHEAD = 8
"""Says how many windows of a stream are listened to before they are opened."""


Answer = RunAccepted | PipelineRegistered | RunRejected


class Session(RunEngine):
    """Represents one client of the bus. Open with `open_session`, or with `conversation` on a bus that is open."""

    def __init__(self, bus: Bus, queue: str, events: Subscription, *, follows: bool = True) -> None:
        """Take `follows`: whether the runs that are asked for here are followed."""
        self._bus = bus
        self._queue = queue
        self._events = events
        self._follows = follows
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._runs: dict[str, asyncio.Queue[Event]] = {}
        self._epochs: dict[str, int] = {}

    async def begin(self, request: RunRequest) -> RunAccepted:
        return await self._accepted("request", request)

    async def command(self, verb: str, message: Message) -> RunAccepted | PipelineRegistered:
        question = uuid4().hex
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[question] = answer
        outgoing = Outgoing(flow.run_command(verb), message, reply_to=self._queue, correlation_id=question)
        try:
            await self._bus.publish([encode(outgoing, "loom")])
            async with asyncio.timeout(ANSWER_SECONDS):
                said = await answer
        except TimeoutError:
            raise DependencyUnavailable(unanswered(message)) from None
        finally:
            del self._answers[question]
        if isinstance(said, RunRejected):
            raise _rejection(said)
        return said

    async def resume(self, run_id: str, budget: float | None = None, *, by: Asker = NOBODY) -> RunAccepted:
        accepted = await self._of_run(by, run_id=run_id, verb="resume", budget=budget)
        self._epochs[run_id] = accepted.epoch
        return accepted

    async def follow(self, run_id: str) -> AsyncIterator[Event]:
        events = self._of(run_id)
        while True:
            event = await events.get()
            if event.epoch < self._epochs.get(run_id, 0):
                continue
            yield event
            if isinstance(event, RunFinished) or event.status == "paused":
                return

    async def follow_stream(self, stream: str, first: int) -> AsyncIterator[Event]:
        windows = _Windows(stream, first, self._runs)
        events, numbers, at_work = windows.events, windows.numbers, windows.at_work
        while True:
            event = await events.get()
            run_id = event.run_id
            if run_id not in numbers:
                continue
            windows.listen(numbers[run_id] + _WINDOWS_AHEAD)
            yield event
            if isinstance(event, RunFinished):
                at_work.discard(run_id)
                del numbers[run_id], self._runs[run_id]
                if event.report.window is None or not event.report.window.goes_on:
                    return
            elif event.status == "paused" and event.resumes_at is None:
                at_work.discard(run_id)
                if not at_work:
                    return
            else:
                at_work.add(run_id)

    async def checkpoint(self) -> list[str]:
        left = await self.at_work()
        for run_id in left:
            await self.pause(run_id)
        return left

    async def listen(self) -> None:
        """Hand out what arrives. Runs beside the conversation, in `open_session`. Anyone may publish events, so what
        cannot be read is passed over."""
        async for delivery in self._events:
            try:
                self._hand_out(decode(delivery), delivery)
            except UnreadableMessage as error:
                log.warning("event not understood", reason=str(error))
            await delivery.ack()

    def _hand_out(self, message: Message, delivery: Delivery) -> None:
        match message:
            case RunAccepted() | PipelineRegistered() | RunRejected():
                answer = self._answers.get(delivery.correlation_id or "")
                if answer is not None and not answer.done():
                    answer.set_result(message)
                    if isinstance(message, RunAccepted) and self._follows:
                        self._of(message.run_id)  # what is told from now on is for whoever asked
            case RunProgress() | RunFinished():
                if message.run_id in self._runs:
                    self._runs[message.run_id].put_nowait(message)

    def _of(self, run_id: str) -> asyncio.Queue[Event]:
        return self._runs.setdefault(run_id, asyncio.Queue())


class _Windows:
    """Listens to windows of a stream, and to the runs beside them, before they are opened."""

    def __init__(self, stream: str, first: int, runs: dict[str, asyncio.Queue[Event]]) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.numbers: dict[str, int] = {}
        self.at_work: set[str] = set()
        self._stream = stream
        self._runs = runs
        self._heard = first - 1
        self.listen(first + _WINDOWS_AHEAD)

    def listen(self, up_to: int) -> None:
        """Listen to the windows up to this number, and no more to those long before it that nothing came of."""
        for number in range(self._heard + 1, up_to + 1):
            window = window_run_id(self._stream, number)
            for run_id in (window, canary_run_id(window)):
                self.numbers[run_id] = number
                told = self._runs.get(run_id)
                self._runs[run_id] = self.events
                while told is not None and not told.empty():  # since the answer to whoever asked for it
                    self.events.put_nowait(told.get_nowait())
        self._heard = max(self._heard, up_to)
        old = [each for each, number in self.numbers.items() if number < up_to - 2 * _WINDOWS_AHEAD]
        for run_id in old:
            if run_id not in self.at_work:
                del self.numbers[run_id], self._runs[run_id]


def unanswered(message: Message) -> str:
    """Say that nobody has answered a request in time, and who would have to. Pure."""
    if isinstance(message, RunRequest) and message.begin_at is not None:
        return (
            f"No answer came within {ANSWER_SECONDS:g} s. An extractor has to find the place '{message.begin_at}' "
            "first; the request waits, and is carried out once that is done. Are the coordinator and an extractor "
            "running?"
        )
    return (
        f"No coordinator answered within {ANSWER_SECONDS:g} s. The request waits in the queue {flow.RUNS_QUEUE}; is "
        "the coordinator running?"
    )


def _rejection(said: RunRejected) -> ConfigurationError:
    if not said.mistakes:
        return ConfigurationError(said.error)
    return InvalidDefinition(
        [Problem(mistake.path, mistake.found, mistake.expected, mistake.suggestion) for mistake in said.mistakes]
    )
