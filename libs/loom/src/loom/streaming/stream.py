"""Runs a pipeline and hands its records over as they are settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loom.frames.given import Records, records_of
from loom.project.definition_file import built
from loom.project.person import person
from loom.requests.checked import checked
from loom.session import RunEngine, open_session, settled_report
from loom.stored_records import stored
from loom.streaming.handover import Handover
from loom.streaming.settled import Record
from loom.streaming.settling_bus import SettlingBus
from loom_common.contracts.v1 import RunFinished, RunReport, RunRequest
from loom_common.domain.values.stored_records import new_handed_rows
from loom_common.errors import ConfigurationError, LoomError, PermanentError
from loom_common.ports.bus import Bus
from loom_common.sealing.sealer import Sealer
from loom_common.service.bootstrap import Platform
from loom_connectors.given.handed import taking

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.sdk.pipeline import Pipeline

Handler = Callable[[Record], Awaitable[object] | object]
"""Is called with each record, once it is settled."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Says what is to be streamed."""

    config: LoomConfig
    pipeline: Pipeline
    params: Mapping[str, Any]
    records: Records | None
    reuse: bool
    wait: bool
    most: int


class RecordStream:
    """Yields the records of a run as they are settled: `async for record in stream`. With a handler, `await stream`
    runs the pipeline to its end and calls it. Leaving the loop, or `aclose`, cancels the run and frees what it held."""

    def __init__(self, asked: Asked, handler: Handler | None = None) -> None:
        self._running = _Running(asked)
        self._handler = handler
        self._records: AsyncGenerator[Record, None] | None = None

    @property
    def run_id(self) -> str | None:
        """Return the id of the run; None before it has begun."""
        return self._running.run_id

    @property
    def report(self) -> RunReport | None:
        """Return the report of the run; None before it has ended."""
        return self._running.report

    def __aiter__(self) -> AsyncIterator[Record]:
        """Yield the records. Raises `ConfigurationError` for a stream with a handler, and one that was begun."""
        if self._handler is not None:
            raise ConfigurationError("The records of this stream go to its handler. `await` it in place of the loop.")
        return self._begun()

    def __await__(self) -> Generator[Any, None, RunReport]:
        """Run the pipeline to its end, and return its report. Raises what the handler raises, and then the run is
        cancelled."""
        return self._handled().__await__()

    async def __aenter__(self) -> RecordStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the run where it has not ended, and free what it held. Doing so twice has no further effect."""
        if self._records is not None:
            await self._records.aclose()

    def _begun(self) -> AsyncGenerator[Record, None]:
        if self._records is not None:
            raise ConfigurationError("This stream was begun before. Ask for another one.")
        self._records = _settled(self._running)
        return self._records

    async def _handled(self) -> RunReport:
        if self._handler is None:
            raise ConfigurationError("Nobody takes the records: give a `handler`, or write `async for record in ...`.")
        handle, most = self._handler, self._running.asked.most
        try:
            async with asyncio.TaskGroup() as group:
                room = asyncio.Semaphore(most)
                async for record in self._begun():
                    await room.acquire()
                    group.create_task(_handle(handle, record)).add_done_callback(lambda _: room.release())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await self.aclose()
        report = self._running.report
        assert report is not None
        return report


async def _handle(handle: Handler, record: Record) -> None:
    made = handle(record)
    if isinstance(made, Awaitable):
        await made


async def _settled(running: _Running) -> AsyncGenerator[Record, None]:
    """Yield the records of a run that begins now, and raise what it raises. Closing this cancels the run."""
    task = asyncio.create_task(running.carry_out())
    try:
        while (record := await running.handover.take()) is not None:
            yield record
        await task
    finally:
        running.leaving.set()
        await running.handover.close()
        with suppress(asyncio.CancelledError, Exception):
            await asyncio.shield(asyncio.gather(task, return_exceptions=True))


class _Running:
    """Carries out the run of a stream, in a task of its own."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.handover = Handover(asked.most)
        self.leaving = asyncio.Event()
        self.run_id: str | None = None
        self.report: RunReport | None = None

    async def carry_out(self) -> None:
        """Run the pipeline to its end. Raises as `run_pipeline` does."""
        try:
            await self._run()
        finally:
            await self.handover.end()

    async def _run(self) -> None:
        asked, owner = self.asked, new_handed_rows()
        definition = asked.pipeline.definition()
        config = asked.config
        loaded = built(definition, asked.pipeline._path, config.allowed)
        request = RunRequest(
            definition=definition,
            files=loaded.files,
            base=config.base_of(asked.pipeline.folder),
            params=dict(asked.params),
            load=True,
            rows=owner,
            reuse=asked.reuse,
            requested_by=person(),
        )
        async with AsyncExitStack() as stack:
            stack.enter_context(taking(owner))
            if asked.records is not None:
                kept = stored(config, records_of(asked.records), loaded.pipeline)
                name, remove = await stack.enter_async_context(kept)
                stack.push_async_callback(remove)
                request = request.model_copy(update={"records": name})
            await self._followed(await checked(config, request, loaded, wait=asked.wait))

    async def _followed(self, request: RunRequest) -> None:
        config = self.asked.config
        async with open_session(config, cluster=False, wait=self.asked.wait, watch=self._watched) as session:
            accepted = await session.start(request)
            self.run_id = accepted.run_id
            async with _cancelling(session, accepted.run_id, self.leaving):
                async for event in session.follow(accepted.run_id):
                    if isinstance(event, RunFinished):
                        self.report = event.report
                    elif event.status == "paused":
                        await session.cancel(accepted.run_id)
                        raise PermanentError(_paused(accepted.run_id, event.notice if event.reason else None))
        assert self.report is not None
        self.report = await settled_report(config, self.report)

    async def _watched(self, platform: Platform) -> Bus:
        pipeline, sealer = self.asked.pipeline, None
        if pipeline.sensitive:
            sealer = Sealer(pipeline.name, pipeline.sensitive_fields, await platform.keyring.keys())
        return SettlingBus(platform.bus, self.handover.give, sealer)


@asynccontextmanager
async def _cancelling(session: RunEngine, run_id: str, leaving: asyncio.Event) -> AsyncIterator[None]:
    """Within the block, cancel the run once nobody takes its records any more."""

    async def cancel() -> None:
        await leaving.wait()
        with suppress(LoomError):  # it has ended meanwhile
            await session.cancel(run_id)

    watching = asyncio.create_task(cancel())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _paused(run_id: str, notice: str | None) -> str:
    why = notice or f"Run {run_id} was paused from outside."
    return f"{why} A stream cannot wait for that, so the run is cancelled. What was handed over stays handed over."
