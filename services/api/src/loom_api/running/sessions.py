"""Opens a session with what carries out runs when a command first needs it, and holds it until the API ends.

Embedded, this is an engine in this process: the six services, as `loom run` starts them. So reading alone starts
nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from loom.project.config import LoomConfig
from loom.sdk.serving import open_serving
from loom.session import RunEngine, conversation
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.user_code import functions


class Sessions:
    """Holds one session for all requests."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[RunEngine]]) -> None:
        self._opening = opening
        self._lock = asyncio.Lock()
        self._held: asyncio.Task[None] | None = None
        self._session: RunEngine | None = None
        self._stop = asyncio.Event()

    async def session(self) -> RunEngine:
        """Return the session; another one where it has ended by an error. Raises what opening it raises."""
        async with self._lock:
            if self._session is None or self._held is None or self._held.done():
                opened: asyncio.Future[RunEngine] = asyncio.get_running_loop().create_future()
                self._stop = asyncio.Event()
                self._held = asyncio.create_task(self._hold(opened, self._stop))
                self._session = await opened
            return self._session

    async def renew(self) -> None:
        """Make sure that what is begun next runs the code that the project has now."""

    async def close(self) -> list[str]:
        """End the session, and return the ids of the runs that were under way in this process. They are paused."""
        async with self._lock:
            if self._session is None or self._held is None or self._held.done():
                return []
            left = await self._session.checkpoint()
            await self._end()
            return left

    async def _end(self) -> None:
        self._stop.set()
        if self._held is not None:
            await asyncio.wait({self._held})
        self._session = None

    async def _hold(self, opened: asyncio.Future[RunEngine], stop: asyncio.Event) -> None:
        try:
            async with self._opening() as session:
                opened.set_result(session)
                await stop.wait()
        except Exception as error:  # the rim of a task of its own
            if not opened.done():
                opened.set_exception(error)
            elif stop.is_set():
                log.exception("the engine could not be closed as it should", error=str(error))
            else:
                log.exception("the engine has ended; `loom resume` goes on with its runs", error=str(error))


class EmbeddedSessions(Sessions):
    """Holds a session with an engine in this process. The project's Python modules that have changed are read anew
    where no run is under way."""

    def __init__(self, config: LoomConfig) -> None:
        super().__init__(partial(open_serving, config, follows=False))

    async def renew(self) -> None:
        """End an engine that has loaded other code, unless it is at work."""
        async with self._lock:
            if not functions.have_changed():
                return
            if self._session is not None:
                if await self._session.at_work():
                    return
                await self._end()
            functions.forget()


def of_cluster(bus: Bus) -> Sessions:
    """Return the sessions with a cluster's coordinator."""
    return Sessions(partial(conversation, bus, follows=False))
