"""Reads a response from the pieces in which it arrives. It does no I/O."""

from __future__ import annotations

import httptools
from multidict import CIMultiDict

from loom_ai.http.client.errors import ConnectionClosed, InvalidResponse
from loom_common.domain.values.per_record import per_record
from loom_common.http.bodies import Body, body_of

_MOST_BESIDES = 64 * 1024
"""The most bytes of a response besides its body: status, headers, and what divides the body into chunks."""
_MOST_FOR_EACH = 8
"""So many bytes more are read for each byte of the body. A chunk of one byte has five besides."""


@per_record
class Response:
    """Represents a response of a server, read whole. `body` is at most as large as the client allows."""

    status: int
    headers: CIMultiDict[str]
    body: Body


class IncomingResponse:
    """Reads one response. Servers that end lines with LF alone, or write spaces after the size of a chunk, are
    understood; whatever else is no HTTP/1 is refused, above all what two readers may take for different responses."""

    __slots__ = ("_fed", "_headers", "_interim", "_most", "_parser", "_pieces", "_size", "_status", "complete", "last")

    def __init__(self, most: int) -> None:
        """Take `most`, the bytes of the largest body that is read."""
        self._parser = parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._most = most
        self._fed = self._size = self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._interim = False
        self.complete = False
        """Tells whether nothing more is read of it."""
        self.last = False
        """Tells whether nothing may follow on its connection."""

    def feed(self, data: bytes) -> None:
        """Read the next piece. Raises `InvalidResponse`."""
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.last = True
            if not self.complete:
                raise InvalidResponse(str(error)) from error
        if self._fed - self._size > _MOST_BESIDES + _MOST_FOR_EACH * self._size:
            raise InvalidResponse("its headers are too large")

    def end(self) -> None:
        """Note that the connection has ended, which is also the end of a body whose length was not told. Raises
        `ConnectionClosed` where the response is not complete."""
        self.last = True
        if self.complete:
            return
        told = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
        if not self._status or told:
            raise ConnectionClosed("The connection ended before the response did.")
        self.complete = True

    def response(self) -> Response:
        """Return the response, once it is complete."""
        headers = CIMultiDict([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers])
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return Response(self._status, headers, body_of(data, headers.get("Content-Encoding", ""), self._most))

    def let_go(self) -> None:
        """Break the circle of references between this and its parser, once nothing more is read."""
        del self._parser

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """Note that another response begins. Nothing asked for one that follows a complete one."""
        if self.complete:
            self.last = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. What follows the body is left out, because it may not change what the headers said."""
        if not self._status:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Keep the status, unless another response follows that is meant (100 to 199)."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            self._headers.clear()
        else:
            self._status = status

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body, and stop reading where it is too large: one byte more is kept, which says so."""
        self._size += len(data)
        if self.complete:
            return
        self._pieces.append(data)
        if self._size > self._most:
            self.complete = self.last = True

    def on_message_complete(self) -> None:
        """Note that the response is complete."""
        if not self._interim and not self.complete:
            self.complete = True
            self.last = self.last or not self._parser.should_keep_alive()
