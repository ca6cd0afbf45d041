"""The response that an SDK gets, as it came: read up to a limit, and kept for Loom to read by itself.

What the SDKs and the library make of a response loses what they do not expect, or fails over it. Loom reads the answer
from the response, as for every other provider; the library asks the question."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDict

from loom_ai.http.bodies import MOST_BYTES, Body, unfold


@dataclass(slots=True)
class Response:
    """Of one question; empty until one comes."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=lambda: Body(b""))

    def came(self, status: int, headers: Mapping[str, str], data: bytes) -> bytes:
        """A response came with that body, of which at most one byte more than the limit was read. Gives the body as
        the SDK may read it."""
        self.status, self.headers = status, CIMultiDict(headers)
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        body = Body(data) if encoding in ("", "identity") else unfold(data, encoding)
        if len(data) > MOST_BYTES or len(body.data) > MOST_BYTES:
            body = Body(body.data[:MOST_BYTES], f"it is larger than {MOST_BYTES // 1024 // 1024} MB")
        self.body = body
        return b"{}" if body.fault else body.data


current: ContextVar[Response | None] = ContextVar("loom_response", default=None)
"""Where the response to the question goes that this task asks; threads that are begun for it see it, too. A context
variable, because an SDK stands between the question and Loom's transport, and passes no argument on."""


def kept(status: int, headers: Mapping[str, Any], data: bytes) -> bytes:
    """Keep a response for who asked. Gives the body as the SDK may read it."""
    text = {str(name): str(value) for name, value in headers.items()}
    return (current.get() or Response()).came(status, text, data)
