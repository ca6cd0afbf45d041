"""Sends requests on one connection, one after the other, and reads their responses."""

from __future__ import annotations

import asyncio
from typing import cast

from loom_ai.http.client.errors import ConnectionClosed, InvalidResponse
from loom_ai.http.client.incoming import IncomingResponse, Response


class Connection(asyncio.Protocol):
    """Represents a connection to a server. One request at a time is sent on it."""

    __slots__ = (
        "_answered",
        "_deadline",
        "_heard",
        "_incoming",
        "_loop",
        "_read_seconds",
        "_timer",
        "_transport",
        "idle_since",
        "usable",
    )
    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._incoming: IncomingResponse | None = None
        self._answered: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._read_seconds = self._heard = 0.0
        self.idle_since = 0.0
        self.usable = False
        """Tells whether another request may be sent."""

    async def ask(self, request: bytes, most: int, read_seconds: float, deadline: float) -> Response:
        """Send a request, and return the response. `most` is the size of the largest body that is read,
        `read_seconds` what the next piece of the response may take, and `deadline` the moment of the event loop's clock
        at which all must have come.

        Raises `ConnectionClosed`, `InvalidResponse` and `TimeoutError`, and closes the connection then, or when it is
        cancelled: what comes later answers nobody."""
        incoming = self._incoming = IncomingResponse(most)
        answered = self._answered = self._loop.create_future()
        self._read_seconds, self._deadline, self._heard = read_seconds, deadline, self._loop.time()
        try:
            self._transport.write(request)
            self._look_again(min(deadline, self._heard + read_seconds))
            await answered
        except BaseException:
            self.close()
            raise
        finally:
            self._incoming = self._answered = None
            incoming.let_go()
        if incoming.last or self._transport.get_write_buffer_size():
            self.close()
        return incoming.response()

    def close(self) -> None:
        """Close the connection at once."""
        self.usable = False
        self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to which requests are written."""
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Read a piece of the response. What nobody has asked for closes the connection."""
        incoming = self._incoming
        if incoming is None:
            self.close()
            return
        self._heard = self._loop.time()
        try:
            incoming.feed(data)
        except InvalidResponse as error:
            self._fail(error)
            return
        if incoming.complete:
            self._succeed()

    def connection_lost(self, error: Exception | None) -> None:
        """Take the connection's end as that of the response, or as an error."""
        self.close()
        if self._incoming is None:
            return
        try:
            if error is not None:
                raise ConnectionClosed("The connection broke.") from error
            self._incoming.end()
        except ConnectionClosed as closed:
            self._fail(closed)
        else:
            self._succeed()

    def _look_at_the_time(self) -> None:
        """Give up where too long nothing came. While a long request is still being sent, nothing can come."""
        self._timer = None
        if self._incoming is None:
            return
        now = self._loop.time()
        if self._transport.get_write_buffer_size():
            self._heard = now
        due = min(self._deadline, self._heard + self._read_seconds)
        if now >= due:
            self._fail(TimeoutError())
        else:
            self._look_again(due)

    def _look_again(self, due: float) -> None:
        """Have the time looked at by then. A timer that is set already and ends earlier is kept: setting one for each
        request takes longer than looking now and then for nothing."""
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look_at_the_time)

    def _succeed(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
