"""Tests files of web servers: read in ranges of one version, whole where there are none, and refused in plain words."""

from __future__ import annotations

import base64
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source
from loom_connectors.registry import open_destination, open_source
from loom_connectors.storage.web import requests
from loom_dev.backends.ports import reserve_port
from support.file_contents import content_of
from support.pieces import read_through

ROWS = [{"id": str(number), "text": f"{number:0100}"} for number in range(30_000)]
SECRET = "a-planted-word-123"


@dataclass
class Server:
    """Serves files as a test says."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tags: bool = True
    status: int = 200
    odd: str = ""
    """Says in which way the ranges are not what they are asked for."""
    moved: dict[str, str] = field(default_factory=lambda: {"moved.csv": "/in.csv"})
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("Range", ""))
        name = request.match_info["path"]
        if name == "secret.csv":
            wanted = base64.b64encode(f"me:{SECRET}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {wanted}":
                return web.Response(status=401)
        if name in self.moved:
            raise web.HTTPFound(self.moved[name])
        if self.status != 200 or name not in self.files:
            return web.Response(status=self.status if self.status != 200 else 404)
        content = self.files[name]
        headers = {"ETag": f'"{hash(content)}"'} if self.tags else {}
        if self.odd == "packed":
            headers["Content-Encoding"] = "gzip"
            content = content if name.endswith(".gz") else gzip.compress(content, mtime=0)
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(content))})
        if not self.ranges or "Range" not in request.headers:
            self.sent += len(content)
            return web.Response(body=content, headers=headers)
        return self._range(request.headers["Range"], content, headers)

    def _range(self, asked: str, content: bytes, headers: dict[str, str]) -> web.Response:
        start, end = (int(each) for each in asked.removeprefix("bytes=").split("-"))
        if self.odd == "other bytes":
            start, end = start + 7, end + 7
        if self.odd == "fewer bytes":
            end = min(end, start + 999)
        if start >= len(content):
            return web.Response(status=416)
        piece = content[start : end + 1]
        self.sent += len(piece)
        total = "*" if self.odd == "no total" else len(content)
        headers["Content-Range"] = f"bytes {start}-{start + len(piece) - 1}/{total}"
        return web.Response(status=206, body=piece, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server({"in.csv": content_of("in.csv", ROWS)})
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = reserve_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    made.url = f"http://127.0.0.1:{port}"
    yield made
    await runner.cleanup()


def source(location: str, **environ: str) -> Source:
    return open_source(
        ExtractConfig(source=location), ConnectorContext(Path(), Credentials({"env": EnvProvider(environ)}))
    )


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("tags", [True, False])
async def test_a_file_is_read_with_and_without_ranges(server, ranges, tags):
    server.ranges, server.tags = ranges, tags
    opened = source(f"{server.url}/in.csv?v=1")
    await opened.check()
    found = await read_through(opened, 7000)
    await opened.close()
    assert [each.data for each in found] == ROWS


@pytest.mark.parametrize("odd", ["packed", "no total", "fewer bytes", "other bytes"])
async def test_a_range_that_is_not_what_was_asked_for_loses_no_record(server, odd):
    server.odd = odd
    opened = source(f"{server.url}/in.csv")
    await opened.check()
    assert [each.data for each in await read_through(opened, 7000)] == ROWS
    await opened.close()


async def test_a_compressed_file_that_the_server_says_is_packed_is_unpacked_once(server):
    server.odd = "packed"
    server.files["in.csv.gz"] = gzip.compress(server.files["in.csv"])
    opened = source(f"{server.url}/in.csv.gz")
    assert [each.data for each in await read_through(opened, 7000)] == ROWS
    await opened.close()


async def test_a_file_without_ranges_is_fetched_once(server):
    server.ranges = False
    opened = source(f"{server.url}/in.csv")
    await read_through(opened, 1000)
    await opened.close()
    assert server.sent == len(server.files["in.csv"])


async def test_a_page_reads_one_block(server):
    opened = source(f"{server.url}/in.csv")
    await opened.read(None, 10)
    await opened.close()
    assert server.sent <= requests.BLOCK
    assert len(server.files["in.csv"]) > 2 * requests.BLOCK


async def test_parquet_is_read_by_its_footer(server):
    server.files["in.parquet"] = content_of("in.parquet", ROWS[:1000])
    opened = source(f"{server.url}/in.parquet")
    assert await opened.count() == 1000
    assert [each.data for each in await read_through(opened, 300)] == ROWS[:1000]
    await opened.close()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/moved.csv", "redirects from one address to the next"),
        ("file:///etc/passwd", "is no address of http or https"),
    ],
)
async def test_a_redirection_that_leads_nowhere_is_told(server, target, words):
    server.moved["moved.csv"] = target
    with pytest.raises(SourceError, match=words):
        await source(f"{server.url}/moved.csv").check()


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_that_changes_between_two_pages_is_noticed(server, ranges):
    server.ranges = ranges
    opened = source(f"{server.url}/in.csv")
    page = await opened.read(None, 10)
    server.files["in.csv"] = server.files["in.csv"].replace(b"9\r\n", b"8\r\n")
    with pytest.raises(SourceError, match=r"in\.csv changed while the run was reading it"):
        await opened.read(page.cursor, 10)
    await opened.close()


async def test_a_redirect_is_followed_and_an_empty_file_is_empty(server):
    moved = source(f"{server.url}/moved.csv")
    assert len(await read_through(moved)) == len(ROWS)
    server.files["none.csv"] = b""
    empty = source(f"{server.url}/none.csv")
    assert await read_through(empty) == []
    await moved.close()
    await empty.close()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(404, SourceError, "answered 404"), (403, AccessRefused, "refused with 403"), (410, SourceError, "answered 4")],
)
async def test_what_a_server_refuses_is_told(server, status, error, words):
    server.status = status
    with pytest.raises(error, match=words):
        await source(f"{server.url}/in.csv").check()


async def test_a_server_that_is_away_or_troubled_may_come_back(server, monkeypatch):
    monkeypatch.setattr(requests, "_RETRIES", requests.urllib3.Retry(0, raise_on_status=False))
    server.status = 503
    with pytest.raises(DependencyUnavailable, match="answered 503"):
        await source(f"{server.url}/in.csv").check()
    with pytest.raises(DependencyUnavailable, match="could not be reached: connection refused: nothing listens at"):
        await source(f"http://127.0.0.1:{reserve_port()}/in.csv").check()


async def test_a_password_is_sent_and_never_shown(server):
    server.files["secret.csv"] = b"id\n1\n"
    location = server.url.replace("//", "//me:${WORD}@") + "/secret.csv?token=${WORD}"
    right = source(location, WORD=SECRET)
    assert [each.data for each in await read_through(right)] == [{"id": "1"}]
    with pytest.raises(AccessRefused, match=r"\$\{USER\}:\$\{PASSWORD\}") as refused:
        await source(location, WORD="another-word").check()
    assert "another-word" not in f"{refused.value!r}{refused.value.__cause__!r}"
    await right.close()


async def test_a_file_that_is_too_large_without_ranges_is_refused(server, monkeypatch):
    server.ranges = False
    monkeypatch.setattr(requests, "MOST_AT_ONCE", 1000)
    with pytest.raises(SourceError, match="the server has no ranges"):
        await source(f"{server.url}/in.csv").check()


def test_a_web_server_is_no_destination(tmp_path):
    with pytest.raises(ConfigurationError, match="can only be read"):
        open_destination(LoadConfig(destination="https://host/out.csv"), ConnectorContext(tmp_path, Credentials({})))
