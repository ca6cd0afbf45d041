"""Captures the response that an SDK receives, up to a size limit, so that Loom can read it itself.

The SDKs and the library drop, or fail on, what they do not expect in a response. The library only sends the question;
Loom reads the answer as for every other provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDict

from loom_common.http.bodies import MOST_BYTES, Body, decompress


@dataclass(slots=True)
class Response:
    """Holds the response to one call. It is empty until one arrives."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=lambda: Body(b""))

    def receive(self, status: int, headers: Mapping[str, Any], data: bytes) -> bytes:
        """Store a response, of whose body at most one byte above the limit was read. Returns the body that the SDK may
        read."""
        self.status, self.headers = status, CIMultiDict({str(name): str(text) for name, text in headers.items()})
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        body = Body(data) if encoding in ("", "identity") else decompress(data, encoding)
        if len(data) > MOST_BYTES or len(body.data) > MOST_BYTES:
            body = Body(body.data[:MOST_BYTES], f"it is larger than {MOST_BYTES // 1024 // 1024} MB")
        self.body = body
        return b"{}" if body.fault else body.data
