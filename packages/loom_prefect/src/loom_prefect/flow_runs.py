"""Keeps a flow run at Prefect for each run of Loom: begun with its first piece of work, ended when its end is told.

A run that is resumed, also after a kill, goes on in the flow run that it had. Whoever cancels or pauses that at
Prefect does so to the run."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from httpx import HTTPError
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import PrefectException
from prefect.flow_engine import run_flow_async
from prefect.flows import Flow
from prefect.states import Cancelled, Completed, Failed, Pending

from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import RunCommand, RunFinished, RunProgress
from loom_common.errors import DependencyUnavailable, UnreadableMessage
from loom_common.flow import Binding, Exchange, run_command
from loom_common.ports.bus import Bus
from loom_prefect.prefect_loop import PrefectLoop

log = structlog.get_logger()

TAG = "loom"
_LOOK_SECONDS = 2.0
"""Says how often to look whether somebody has cancelled or paused a flow run."""
_VERBS = {StateType.CANCELLING: "cancel", StateType.CANCELLED: "cancel", StateType.PAUSED: "pause"}
_FOLLOWED = ("progress", "finished")
_TROUBLES = (PrefectException, HTTPError, OSError)
"""Lists what Prefect raises, and what the way to its server does."""


@dataclass(frozen=True, eq=False)
class UnderWay:
    """Represents the flow run of one run, while this process works on it."""

    run_id: str
    pipeline: str
    entered: Future[contextvars.Context] = field(default_factory=Future)
    """Gives the context inside of the flow, once it has begun: a task that runs in it is one of the flow run."""
    ended: Future[State] = field(default_factory=Future)
    """Gives the state that the flow run is to end in, once the run has ended or is paused."""
    over: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Tells Loom's event loop the same."""

    @property
    def tag(self) -> str:
        """Return the tag by which the flow run is found again."""
        return f"{TAG}:{self.run_id}"


class FlowRuns:
    """Holds the flow runs of the runs that this process works on."""

    def __init__(self, loop: PrefectLoop, bus: Bus) -> None:
        self._loop = loop
        self._bus = bus
        self._under_way: dict[str, UnderWay] = {}
        self._flows: dict[str, asyncio.Future[None]] = {}
        self._beginning = asyncio.Lock()
        self._defect: BaseException | None = None
        """The first error that is none of Prefect's or its server's: it is raised to whoever works next."""

    @asynccontextmanager
    async def following(self) -> AsyncIterator[FlowRuns]:
        """Hear, within the block, of runs that end, and of commands that are given at Prefect. At its end, the flow
        runs of runs that have not ended are said to be paused. Raises what is no trouble of Prefect's."""
        queue = await self._bus.temporary_queue([Binding(Exchange.EVENTS, f"run.{each}.*") for each in _FOLLOWED])
        events = await self._bus.subscribe(queue, prefetch=100)

        async def listen() -> None:
            async for delivery in events:
                with suppress(UnreadableMessage):  # anyone may publish events
                    self._hear(decode(delivery))
                await delivery.ack()

        loops = [asyncio.create_task(listen()), asyncio.create_task(self._watch())]
        for each in loops:
            each.add_done_callback(self._noted)
        try:
            yield self
        finally:
            for each in loops:
                each.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await events.close()
            for run_id in list(self._under_way):
                self._end(run_id, _paused(run_id))
            await asyncio.gather(*self._flows.values(), return_exceptions=True)
        self._see_that_nothing_broke()

    def _noted(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and self._defect is None:
            self._defect = task.exception()

    def _see_that_nothing_broke(self) -> None:
        if self._defect is not None:
            raise self._defect

    async def of(self, run_id: str, pipeline: str) -> UnderWay:
        """Return the flow run of a run, begun or gone on with where it is not under way. Raises
        `DependencyUnavailable` where Prefect does not begin it, and what is no trouble of Prefect's."""
        self._see_that_nothing_broke()
        async with self._beginning:
            if (run := self._under_way.get(run_id)) is not None:
                return run
            if run_id in self._flows:  # it was paused a moment ago, and ends
                await self._flows[run_id]
            return await self._begun(UnderWay(run_id, pipeline))

    async def _begun(self, run: UnderWay) -> UnderWay:
        async def carried_out(run_id: str) -> State:  # noqa: ARG001 - Prefect shows it as the flow run's parameter
            run.entered.set_result(contextvars.copy_context())
            return await asyncio.wrap_future(run.ended)

        made = flow(name=run.pipeline, persist_result=False, validate_parameters=False)(carried_out)
        flowing, entered = asyncio.ensure_future(self._carried_through(made, run)), asyncio.wrap_future(run.entered)
        self._under_way[run.run_id], self._flows[run.run_id] = run, flowing  # its end may be told before it has begun
        flowing.add_done_callback(lambda _: self._flows.pop(run.run_id))
        flowing.add_done_callback(self._noted)
        waited: set[asyncio.Future[Any]] = {flowing, entered}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not entered.done():
            self._under_way.pop(run.run_id, None)
            flowing.result()
            raise DependencyUnavailable(f"Prefect has not begun a flow run of {run.run_id}. Look at its server's log.")
        return run

    async def _carried_through(self, made: Flow[[str], Any], run: UnderWay) -> None:
        """Run the flow to its end. Where Prefect is away then, the run itself is none the worse for it. Raises what is
        no trouble of Prefect's."""
        try:
            await self._loop.run(_run(made, run))
        except Exception as error:
            if not is_of_prefect(error):
                raise
            log.warning("the flow run could not be ended at Prefect", run_id=run.run_id, error=str(error))

    def _hear(self, message: Message) -> None:
        if isinstance(message, RunFinished):
            self._end(message.run_id, _ended(message))
        elif isinstance(message, RunProgress) and message.status == "paused":
            self._end(message.run_id, _paused(message.run_id, message.notice))

    def _end(self, run_id: str, state: State) -> None:
        run = self._under_way.pop(run_id, None)
        if run is not None:
            run.ended.set_result(state)
            run.over.set_result(None)

    async def _watch(self) -> None:
        """Pass on to the coordinator what is commanded at Prefect, once for each run."""
        passed_on: set[UnderWay] = set()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            passed_on &= set(self._under_way.values())
            for run in set(self._under_way.values()) - passed_on:
                try:
                    found = await self._loop.run(_found(run.tag))
                except Exception as error:
                    if not is_of_prefect(error):
                        raise
                    log.warning("Prefect does not say how the flow run is", run_id=run.run_id, error=str(error))
                    continue
                verb = _VERBS.get(found.state.type) if found is not None and found.state is not None else None
                if verb is not None:
                    passed_on.add(run)
                    command = RunCommand(run_id=run.run_id, verb=verb, requested_by="prefect")
                    await self._bus.publish([encode(Outgoing(run_command(verb), command), "prefect")])


def is_of_prefect(error: Exception) -> bool:
    """Tell whether an error is Prefect's own, or one of the way to its server, which its client may have wrapped."""
    cause = error.__cause__ if isinstance(error, RuntimeError) else None
    return isinstance(error, _TROUBLES) or isinstance(cause, _TROUBLES)


async def _run(made: Flow[[str], Any], run: UnderWay) -> None:
    given = {"run_id": run.run_id}
    async with get_client() as client:
        if (known := await _known(client, run.tag)) is not None:
            going_on: State = Pending(message="Loom goes on with this run.")
            await client.set_flow_run_state(known.id, going_on, force=True)
            flow_run = await client.read_flow_run(known.id)
        else:
            flow_run = await client.create_flow_run(
                made, name=run.run_id, parameters=given, tags=[TAG, run.tag], state=Pending()
            )
    await run_flow_async(made, flow_run=flow_run, parameters=given, return_type="state")


async def _found(tag: str) -> FlowRun | None:
    async with get_client() as client:
        return await _known(client, tag)


async def _known(client: PrefectClient, tag: str) -> FlowRun | None:
    found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[tag])), limit=1)
    return found[0] if found else None


def _ended(message: RunFinished) -> State:
    """Return the state at Prefect for the end of a run, with its counts and its cost."""
    report = message.report
    counts = ", ".join(f"{number:,} {end}" for end, number in report.records.items() if number)
    words = f"{counts}; ${report.cost['total']:.4f}"
    match report.status:
        case "succeeded":
            return Completed(message=words)
        case "partial":
            return Completed(name="Partial", message=words)
        case "cancelled":
            return Cancelled(message=words)
        case _:
            return Failed(message=f"{report.error} ({words})")


def _paused(run_id: str, notice: str | None = None) -> State:
    """Return the state of a flow run whose run is paused: no process waits for it, so Prefect must not either."""
    return Cancelled(name="Paused", message=notice or f"Resume it with: loom resume {run_id}")
