"""Opens the stream of a pipeline that never ends, and hands over the report of each window as it closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loom.plugins import refuse_registered
from loom.project.definition_file import built
from loom.project.person import person
from loom.requests.checked import checked
from loom.requests.runs import refuse_at_work
from loom.sdk.callables import for_workers
from loom.session import RunEngine, open_session
from loom_common.contracts.v1 import RunFinished, RunReport, RunRequest
from loom_common.errors import ConfigurationError, PermanentError

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.sdk.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class AskedStream:
    """Says which stream is to be opened."""

    config: LoomConfig
    pipeline: Pipeline
    params: Mapping[str, Any]
    budget: float | None
    canary: float | None
    begin_at: str | None
    again: bool
    reuse: bool
    wait: bool


class WindowStream:
    """Represents a stream that is followed: `async with loom.open_stream(...) as stream`, and in it `async for window
    in stream`. At the end of the block an embedded stream is paused; a cluster works on without whoever follows it."""

    def __init__(self, asked: AskedStream) -> None:
        self._asked = asked
        self._stack = AsyncExitStack()
        self._session: RunEngine | None = None
        self._id = ""
        self._first = 1
        self._told: asyncio.Queue[RunReport | None] = asyncio.Queue()
        self._following: asyncio.Task[None] | None = None
        self._paused_by_us = False

    @property
    def stream_id(self) -> str:
        """Return the id of the stream, by which every command and method names it."""
        return self._id

    async def __aenter__(self) -> WindowStream:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Open the stream, or go on with it. Raises as `run_pipeline` does; `ConfigurationError` where another process
        is at work on it, and for a pipeline that ends."""
        asked, config = self._asked, self._asked.config
        pipeline = asked.pipeline
        if pipeline.mode != "streaming":
            raise ConfigurationError(
                f"The pipeline {pipeline.name} ends with its source: `run_pipeline` runs it. A stream has "
                "`mode: streaming`."
            )
        definition = for_workers(pipeline.definition()) if config.distributed else pipeline.definition()
        loaded = built(definition, pipeline._path, config.allowed)
        request = RunRequest(
            definition=definition,
            files=loaded.files,
            base=config.base_of(pipeline.folder),
            params=dict(asked.params),
            budget=asked.budget,
            canary=asked.canary,
            begin_at=asked.begin_at,
            again=asked.again,
            reuse=asked.reuse,
            requested_by=person(),
        )
        if config.distributed:
            refuse_registered(pipeline)
        else:
            await refuse_at_work(config, loaded.pipeline)
        request = await checked(config, request, loaded, wait=asked.wait)
        opening = open_session(config, cluster=config.distributed, wait=asked.wait)
        self._session = await self._stack.enter_async_context(opening)
        try:
            accepted = await self._session.begin(request)
        except BaseException:
            await self._stack.aclose()
            raise
        self._id, self._first = str(accepted.stream), accepted.window or 1
        self._following = asyncio.create_task(self._follow())

    async def aclose(self) -> None:
        """Pause an embedded stream that has not ended, and free what it held. Doing so twice has no further effect."""
        following, self._following = self._following, None
        if following is None:
            return
        try:
            if not following.done() and not self._asked.config.distributed:
                self._paused_by_us = True
                await self._opened().pause(self._id)
                await following
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
            await self._stack.aclose()

    def __aiter__(self) -> AsyncIterator[RunReport]:
        """Yield the report of each window as it ends, those beside windows, too, until the stream has ended, or is
        paused. Raises `PermanentError` where a window has stopped it."""
        return self

    async def __anext__(self) -> RunReport:
        report = await self.next()
        if report is None:
            raise StopAsyncIteration
        return report

    async def next(self) -> RunReport | None:
        """Return the report of the window that ends next; None where the stream has ended, or is paused. Raises
        `PermanentError` where a window has stopped it."""
        following = self._following
        self._opened()
        report = await self._told.get()
        if report is None:
            self._told.put_nowait(None)  # for whoever asks again
            if following is not None:
                await following
        return report

    async def drain(self) -> None:
        """Let the stream end once its source has nothing more and all is loaded. The loop over its windows then ends,
        too."""
        await self._opened().drain(self._id)

    async def pause(self) -> None:
        """Stop the stream where it stands. Nothing is lost: opening it again goes on."""
        self._paused_by_us = True
        await self._opened().pause(self._id)

    async def cancel(self) -> None:
        """End the stream now. What was taken and is not loaded counts as cancelled."""
        await self._opened().cancel(self._id)

    async def promote(self) -> None:
        """Give the version on trial all records from the next window on."""
        await self._opened().promote(self._id)

    async def rollback(self) -> None:
        """Give the version on trial no more records."""
        await self._opened().roll_back(self._id)

    def _opened(self) -> RunEngine:
        if self._session is None:
            raise ConfigurationError("The stream is not open: write `async with loom.open_stream(...) as stream:`.")
        return self._session

    async def _follow(self) -> None:
        """Take in what is told of the windows. Raises `PermanentError` where something has stopped them."""
        try:
            last, paused = None, None
            async for event in self._opened().follow_stream(self._id, self._first):
                if isinstance(event, RunFinished):
                    last = event.report
                    self._told.put_nowait(last)
                elif event.status == "paused":
                    paused = event
            if paused is not None and not self._paused_by_us:
                why = paused.notice or f"the window {paused.run_id} is paused"
                raise PermanentError(f"The stream {self._id} is paused: {why}. Nothing is lost; opening it goes on.")
            if paused is None and last is not None and last.status == "failed":
                raise PermanentError(
                    f"The stream {self._id} has stopped, because the window {last.run_id} failed: {last.error}"
                )
        finally:
            self._told.put_nowait(None)
