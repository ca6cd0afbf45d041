"""Reads requests by a parser that is compiled, and closes a connection whose request has too long a head."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""The most bytes that are taken of the line and the headers of a request, before all of them are there."""
_TOO_LONG = "The headers of the request are too long."


class Protocol(HttpToolsProtocol):
    """Serves a connection. The parser itself would hold a head of any length."""

    _unread = 0
    """The bytes of a head that is not whole yet."""

    def data_received(self, data: bytes) -> None:
        """Take what came, and refuse a head that is too long by what came since the last whole one, or body."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(_TOO_LONG)

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        super().on_headers_complete()
        self._unread = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body of a request, after which its head no longer counts."""
        super().on_body(body)
        self._unread = 0
