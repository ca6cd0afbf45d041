"""Lists the errors of the HTTP client. They do not leave `loom_ai`; their types are those of the standard library, so
that `loom_common.http.connection_errors` explains them.

- `InvalidRequest`: the address or a header cannot be sent. Nothing was sent.
- `NoConnection`: no connection came about. Nothing was sent.
- `ConnectionClosed`: the connection ended before the response did.
- `InvalidResponse`: what came is no HTTP, or more of it than a response may have besides its body.

`TimeoutError` is raised where the whole request, or the next piece of its response, took too long."""

from __future__ import annotations

from http.client import HTTPException


class InvalidRequest(ValueError):
    """Reports an address or a header that cannot be sent. Its text holds no value of a header."""


class NoConnection(ConnectionError):
    """Reports that no connection came about. The cause says why."""


class ConnectionClosed(ConnectionResetError):
    """Reports a connection that ended before the response did. The request may have been carried out."""


class InvalidResponse(HTTPException):
    """Reports a response that is no HTTP, or that has more headers than are read."""
