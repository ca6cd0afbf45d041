"""Opens sessions of HTTP clients."""

from __future__ import annotations

import aiohttp

_IDLE_SECONDS = 30.0


def open_session() -> aiohttp.ClientSession:
    """Open a session that keeps connections for 30 s, and no cookies. Its answers come as they were sent, still
    compressed, for `read_body`, which limits what they may grow to."""
    return aiohttp.ClientSession(
        # There is no limit here, because time spent waiting for a connection would count as the request's.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
