"""Calls the handlers of the stages in task runs of Prefect, which tries them again."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Cancelled
from prefect.tasks import Task

from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.recovery import Retry, decide
from loom_common.errors import (
    AnswersPending,
    BreakerOpen,
    BudgetExhausted,
    PermanentError,
    TransientError,
    WorkerWornOut,
)
from loom_common.flow import RETRY_DELAYS, Stage
from loom_common.ports.bus import Bus
from loom_common.text import words_of
from loom_common.worker.consumer_spec import GivenUp, Handle
from loom_common.worker.context import Context
from loom_common.worker.failure_messages import delayed, pipeline_of, stage_of
from loom_prefect.flow_runs import FlowRuns
from loom_prefect.prefect_loop import PrefectLoop

_COMES_AGAIN = (BudgetExhausted, AnswersPending, BreakerOpen)
"""After these the worker brings the message again, which counts no attempt."""
_FINAL = (PermanentError, WorkerWornOut, *_COMES_AGAIN)


class Work:
    """Represents one message of a stage that is to be handled, in as many attempts as it takes."""

    def __init__(self, message: Message, context: Context, handle: Handle, bus: Bus) -> None:
        self.name = _name(message)
        self.made: Sequence[Outgoing] | None = None
        self.error: Exception | None = None
        self.attempts = 0
        self.waits = False
        """Tells whether it waits for its next attempt."""
        self._message, self._context, self._handle, self._bus = message, context, handle, bus
        self._inside = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()

    async def attempt(self, number: int) -> State | None:
        """Make an attempt. Is called on Prefect's event loop; the handler runs on Loom's, in the worker's context."""
        self.attempts, self.error, self.waits = number, None, False
        last = decide(TransientError(""), number) is None
        attempt = Attempt(number, last=last, redelivered=self._context.attempt.redelivered)
        handling = self._handle(self._message, replace(self._context, attempt=attempt))
        begun = self._inside.copy().run(asyncio.run_coroutine_threadsafe, _of(handling), self._loop)
        try:
            self.made = await asyncio.wrap_future(begun)
        except _COMES_AGAIN as error:
            self.error = error
            return Cancelled(name="Postponed", message=words_of(error))
        except Exception as error:
            self.error = error
            raise
        return None

    async def comes_again(self) -> bool:
        """Tell whether another attempt follows after the error, and let those who follow the run know."""
        retry = self._retry
        if retry is None or self.error is None:
            return False
        self.waits = True
        wires = [encode(each, "prefect") for each in delayed(self._message, self.error, self.attempts, retry)]
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._bus.publish(wires), self._loop))
        return True

    def outcome(self) -> Sequence[Outgoing]:
        """Return what the handler made. Raises what it raised, as the worker is to take it."""
        if self.error is None:
            assert self.made is not None
            return self.made
        if isinstance(self.error, _FINAL) or self._retry is not None:
            raise self.error
        raise GivenUp(self.error, self.attempts) from self.error

    @property
    def _retry(self) -> Retry | None:
        return None if self.error is None or isinstance(self.error, _FINAL) else decide(self.error, self.attempts)


class TaskRuns:
    """Implements Loom's port of carriers: a task run for each message, in the flow run of its run."""

    def __init__(self, loop: PrefectLoop, flow_runs: FlowRuns, bus: Bus) -> None:
        self._loop = loop
        self._flow_runs = flow_runs
        self._bus = bus

    async def carry(self, message: Message, context: Context, handle: Handle) -> Sequence[Outgoing]:
        """Raises `DependencyUnavailable` where Prefect does not begin the flow run."""
        stage = stage_of(message)
        assert stage is not None
        run = await self._flow_runs.of(message.correlation_id, pipeline_of(message))
        work = Work(message, context, handle, self._bus)
        carried = asyncio.ensure_future(self._loop.run(_task_run(stage, work), run.entered.result()))
        waited: set[asyncio.Future[Any]] = {carried, run.over}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if work.waits:  # nobody waits for the next attempt of a run that has ended
                carried.cancel()
            await asyncio.wait({carried})
        finally:
            carried.cancel()
        if work.error is None and work.made is None:
            carried.result()
        return work.outcome()


async def _task_run(stage: Stage, work: Work) -> None:
    await _TASKS[stage](work)


async def _attempt(work: Work) -> State | None:
    running = TaskRunContext.get()
    assert running is not None
    return await work.attempt(running.task_run.run_count)


async def _comes_again(_: Task[..., Any], task_run: TaskRun, __: State) -> bool:  # noqa: ARG001 - as Prefect calls it
    running = TaskRunContext.get()
    assert running is not None
    work: Work = running.parameters["work"]
    return await work.comes_again()


def _named(parameters: dict[str, Any]) -> str:
    work: Work = parameters["work"]
    return work.name


def _name(message: Message) -> str:
    """Return what a piece of work is called: its stage, and which slice or batch it is about."""
    about = getattr(message, "header", message)
    keys = [getattr(about, key, None) for key in ("partition", "slice", "position")]
    place = ".".join(str(key) for key in keys if key is not None)
    return f"{stage_of(message)} {place or type(message).__name__}"


async def _of(handling: Any) -> Sequence[Outgoing]:
    made: Sequence[Outgoing] = await handling
    return made


_TASKS = {
    stage: task(
        name=str(stage),
        task_run_name=_named,
        retries=len(RETRY_DELAYS),
        retry_delay_seconds=list(RETRY_DELAYS),
        retry_condition_fn=_comes_again,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(_attempt)
    for stage in Stage
}
