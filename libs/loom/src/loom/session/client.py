"""Starts, follows and commands runs as one client of the bus, in the same words embedded and in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog

from loom_common import flow
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import (
    DiscardRequest,
    PipelineRegistered,
    RegisterPipeline,
    ReplayRequest,
    RunAccepted,
    RunCommand,
    RunFinished,
    RunProgress,
    RunRejected,
    RunRequest,
)
from loom_common.domain.run.replaying import Changes
from loom_common.domain.values.ids import window_run_id
from loom_common.errors import ConfigurationError, DependencyUnavailable, InvalidDefinition, Problem, UnreadableMessage
from loom_common.ports.bus import Bus, Delivery, Subscription

log = structlog.get_logger()

ANSWER_SECONDS = 30.0
"""Says how long the coordinator may take to answer."""
_WINDOWS_AHEAD = 8
"""Says how many windows of a stream are listened to before they are opened."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Says who asks for a command."""

    requested_by: str | None = None
    audit_line: int | None = None
    """Is the number of the line of the audit log in which that is noted."""


NOBODY = Asker()

Answer = RunAccepted | PipelineRegistered | RunRejected
Event = RunProgress | RunFinished


class StreamOpened(ConfigurationError):
    """Reports that a stream was opened, or goes on, where somebody wanted a run that ends."""

    def __init__(self, accepted: RunAccepted) -> None:
        self.accepted = accepted
        super().__init__(
            f"The pipeline {accepted.pipeline} never ends: {accepted.stream} goes on with window {accepted.window}. "
            f"`loom status {accepted.stream}` shows it, and `loom drain {accepted.stream}` ends it."
        )


class Session:
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

    async def start(self, request: RunRequest) -> RunAccepted:
        """Start a run. Raises `InvalidDefinition` with every mistake where the request is rejected, and
        `ConfigurationError` for a pipeline that never ends, which `open_stream` opens: `StreamOpened` where only the
        coordinator knew that."""
        definition = request.definition or {}
        if definition.get("mode") == "streaming" and request.sample is None and request.records is None:
            raise ConfigurationError(
                f"The pipeline {definition.get('name')} has `mode: streaming`, so a run of it does not end. `loom run` "
                "with its file opens it and shows its windows; a sample of it ends."
            )
        accepted = await self._ask("request", request)
        if accepted.stream is not None:
            raise StreamOpened(accepted)
        return accepted

    async def open_stream(self, request: RunRequest) -> RunAccepted:
        """Open the stream of a pipeline that never ends, or let it go on; start a run of another one. Raises
        `InvalidDefinition` with every mistake where the request is rejected."""
        return await self._ask("request", request)

    async def register(self, registration: RegisterPipeline) -> PipelineRegistered:
        """Enter a pipeline without running it. Raises as `start` does."""
        said = await self._answer("register", registration)
        assert isinstance(said, PipelineRegistered)
        return said

    async def resume(self, run_id: str, budget: float | None = None, *, by: Asker = NOBODY) -> RunAccepted:
        """Go on with a run that was interrupted, paused, cancelled or failed; it may cost `budget` USD in all."""
        accepted = await self._ask("resume", _command(by, run_id=run_id, verb="resume", budget=budget))
        self._epochs[run_id] = accepted.epoch
        return accepted

    async def cancel(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """End a run; what is loaded stays."""
        return await self._ask("cancel", _command(by, run_id=run_id, verb="cancel"))

    async def pause(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Pause a run, so that nothing of it is on its way any more. Nothing is lost: `resume` goes on."""
        return await self._ask("pause", _command(by, run_id=run_id, verb="pause"))

    async def prioritize(self, run_id: str, priority: int, *, by: Asker = NOBODY) -> RunAccepted:
        """Change a run's share beside other runs, from 1 to 10; effective with its next slice."""
        return await self._ask("priority", _command(by, run_id=run_id, verb="priority", priority=priority))

    async def replay(
        self,
        run_id: str,
        record_ids: tuple[str, ...] | None,
        changes: Changes | None = None,
        idempotency_key: str | None = None,
        *,
        by: Asker = NOBODY,
    ) -> RunAccepted:
        """Run again over a run's quarantined records, as a run of its own. Raises `InvalidDefinition` where the
        changes do not fit its pipeline. The same key twice starts one run."""
        request = ReplayRequest(
            run_id=run_id,
            record_ids=record_ids,
            changes=changes,
            idempotency_key=idempotency_key,
            requested_by=by.requested_by,
            audit_line=by.audit_line,
        )
        return await self._ask("replay", request)

    async def discard(self, run_id: str, record_ids: tuple[str, ...] | None, *, by: Asker = NOBODY) -> RunAccepted:
        """Give up a run's quarantined records. The quarantine service does so when it comes to it. Raises
        `ConfigurationError` where none of them waits."""
        request = DiscardRequest(
            run_id=run_id, record_ids=record_ids, requested_by=by.requested_by, audit_line=by.audit_line
        )
        said = await self._answer("discard", request)
        assert isinstance(said, RunAccepted)
        return said

    async def follow(self, run_id: str) -> AsyncIterator[Event]:
        """Yield progress as it comes; end with `RunFinished`, or with progress of status `paused`. What was still on
        its way when the run was resumed is passed over."""
        events = self._of(run_id)
        while True:
            event = await events.get()
            if event.epoch < self._epochs.get(run_id, 0):
                continue
            yield event
            if isinstance(event, RunFinished) or event.status == "paused":
                return

    async def drain(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Let a stream, named by its id or that of a window, end once its source has nothing more for the moment. It is
        noted in the row of the stream, which whatever process works on it reads."""
        return await self._ask("drain", _command(by, run_id=run_id, verb="drain"))

    async def follow_stream(self, stream: str, first: int) -> AsyncIterator[Event]:
        """Yield what is told of the windows of a stream, from the window `first`; end where none of them is at work any
        more."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        numbers: dict[str, int] = {}
        at_work: set[str] = set()

        def listen(up_to: int) -> None:
            for number in range(max(numbers.values(), default=first - 1) + 1, up_to + 1):
                run_id = window_run_id(stream, number)
                numbers[run_id] = number
                told = self._runs.get(run_id)
                self._runs[run_id] = events
                while told is not None and not told.empty():  # since the answer to whoever asked for it
                    events.put_nowait(told.get_nowait())

        listen(first + _WINDOWS_AHEAD)
        while True:
            event = await events.get()
            run_id = event.run_id
            if run_id not in numbers:
                continue
            listen(numbers[run_id] + _WINDOWS_AHEAD)
            yield event
            if isinstance(event, RunFinished):
                at_work.discard(run_id)
                del numbers[run_id], self._runs[run_id]
                if event.report.window is None or not event.report.window.goes_on:
                    return
            elif event.status == "paused":
                at_work.discard(run_id)
                if not at_work:
                    return
            else:
                at_work.add(run_id)

    async def at_work(self) -> list[str]:
        """Return the ids of the runs that go on only as long as this session. A cluster works on without it."""
        return []

    async def leave(self) -> list[str]:
        """Pause the runs that go on only as long as this session, and return their ids."""
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

    async def _ask(self, verb: str, message: Message) -> RunAccepted:
        said = await self._answer(verb, message)
        assert isinstance(said, RunAccepted)
        if self._follows:
            self._of(said.run_id)
        return said

    async def _answer(self, verb: str, message: Message) -> RunAccepted | PipelineRegistered:
        question = uuid4().hex
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[question] = answer
        outgoing = Outgoing(flow.run_command(verb), message, reply_to=self._queue, correlation_id=question)
        try:
            await self._bus.publish([encode(outgoing, "loom")])
            async with asyncio.timeout(ANSWER_SECONDS):
                said = await answer
        except TimeoutError:
            raise DependencyUnavailable(
                f"No coordinator answered within {ANSWER_SECONDS:g} s. The request waits in the queue "
                f"{flow.RUNS_QUEUE}; is the coordinator running?"
            ) from None
        finally:
            del self._answers[question]
        if isinstance(said, RunRejected):
            raise _rejection(said)
        return said


def _command(by: Asker, **said: Any) -> RunCommand:
    return RunCommand(**said, requested_by=by.requested_by, audit_line=by.audit_line)


def _rejection(said: RunRejected) -> ConfigurationError:
    if not said.mistakes:
        return ConfigurationError(said.error)
    return InvalidDefinition(
        [Problem(mistake.path, mistake.found, mistake.expected, mistake.suggestion) for mistake in said.mistakes]
    )
