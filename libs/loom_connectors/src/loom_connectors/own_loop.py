"""Runs sources and destinations of plugins on an event loop of their own.

Their code is not Loom's. Where it computes or blocks instead of waiting, it must not stop the messages, the time limits
and Ctrl-C of the process, so it runs on a loop that can be given up on. It is then opened again on another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.errors import LoomError, PluginFailed, PluginUnusable, Timeout
from loom_common.foreign_code.process_guard import foreign
from loom_common.text import named
from loom_common.user_code.event_loop import UserLoop
from loom_connectors.pieces import read, split
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Destination, Guarantee, LoadBatch, LoadResult
from loom_connectors.ports.source import Page, Source

_CLOSING_SECONDS = 10.0
"""Says how long a plugin may take to release its connections."""


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)
T = TypeVar("T")


class _OnItsLoop(Generic[C]):
    """Opens a source or destination once for each loop on which it runs."""

    def __init__(self, what: str, open_one: Callable[[], C], context: ConnectorContext) -> None:
        self._what = what
        self._open_one = open_one
        self._seconds = context.call_seconds
        self._credentials = context.credentials
        self._loop = UserLoop(context.threads)
        self._home: asyncio.AbstractEventLoop | None = None
        self.opened = self._open()

    async def call(self, method: Callable[[C], Awaitable[T]], seconds: float | None = None) -> T:
        """Return what `method` returns. Raises Loom's errors as they are, `PluginFailed` for others, `Timeout`, and
        `WorkerWornOut` where too much hangs."""
        limit = self._seconds if seconds is None else min(seconds, self._seconds)
        try:
            return await self._loop.run(lambda: method(self._here()), limit)
        except LoomError:
            raise
        except TimeoutError as error:
            raise Timeout(f"{self._what} did not answer within {limit:g} s.") from error
        except Exception as error:  # noqa: BLE001 - its text may hold a secret, so it is not kept as the cause
            raise PluginFailed(f"{self._what} raised {self._named(error)}.") from None

    async def close(self) -> None:
        """Close what is wrapped, unless its loop was given up on."""
        try:
            if self._home is not None and not self._loop.replaced():
                await self.call(lambda opened: opened.close(), _CLOSING_SECONDS)
        finally:
            await self._loop.close()

    def _here(self) -> C:
        """Return what is wrapped as it is open on the loop that runs. What it keeps open belongs to that loop."""
        running = asyncio.get_running_loop()
        if self._home is not None and self._home is not running:
            self.opened = self._open()
        self._home = running
        return self.opened

    def _open(self) -> C:
        try:
            with foreign():
                return self._open_one()
        except PluginUnusable as error:
            raise PluginUnusable(self._credentials.without_secrets(str(error))) from None
        except LoomError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
                raise
            raise PluginUnusable(f"{self._what} cannot be opened: {self._named(error)}.") from None

    def _named(self, error: BaseException) -> str:
        """Return the error's type and message. The plugin was given credentials, which its message may hold."""
        return self._credentials.without_secrets(named(error))


class SourceOnItsLoop:
    """Represents a plugin's source. Every call runs on the plugin's loop."""

    def __init__(self, what: str, open_one: Callable[[], Source], context: ConnectorContext) -> None:
        self._own = _OnItsLoop(what, open_one, context)

    async def check(self) -> None:
        await self._own.call(lambda source: source.check())

    async def count(self) -> int | None:
        return await self._own.call(lambda source: source.count())

    async def fields(self) -> Fields | None:
        return await self._own.call(lambda source: source.fields())

    async def split(self, parts: int | None) -> Sequence[Piece]:
        return await self._own.call(lambda source: split(source, parts))

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        return await self._own.call(lambda source: read(source, cursor, limit, until))

    async def close(self) -> None:
        await self._own.close()


class DestinationOnItsLoop:
    """Represents a plugin's destination. Every call runs on the plugin's loop."""

    def __init__(self, what: str, open_one: Callable[[], Destination], context: ConnectorContext) -> None:
        self._own = _OnItsLoop(what, open_one, context)

    @property
    def guarantee(self) -> Guarantee:
        return self._own.opened.guarantee

    @property
    def effect(self) -> str:
        return self._own.opened.effect

    @property
    def stages(self) -> bool:
        return self._own.opened.stages

    @property
    def location(self) -> str:
        return self._own.opened.location

    async def check(self) -> None:
        await self._own.call(lambda destination: destination.check())

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await self._own.call(lambda destination: destination.load(batch))

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        return await self._own.call(
            lambda destination: destination.finalize(run_id, complete=complete, keep=keep),
        )

    async def drop(self, run_id: str) -> bool:
        return await self._own.call(lambda destination: destination.drop(run_id))

    async def close(self) -> None:
        await self._own.close()
