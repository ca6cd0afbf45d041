"""Tests a queue and an exchange of a broker that is reached over TLS alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DependencyUnavailable
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from support.certificates import certificate, shown_by_a_server
from support.load_batches import batch
from support.queues import queues_at, reviews


@asynccontextmanager
async def over_tls(url: str, certificate: Path) -> AsyncIterator[str]:
    """Provide the URL of the broker over TLS: what arrives there is passed on to `url`."""
    broker = urlsplit(url)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(broker.hostname, broker.port)
        await asyncio.gather(pipe(reader, there_writer), pipe(there_reader, writer))

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=shown_by_a_server(certificate))
    async with server:
        login = broker.netloc.rpartition("@")[0]
        yield f"amqps://{login}@127.0.0.1:{server.sockets[0].getsockname()[1]}{broker.path}"


@pytest.fixture
async def secured(tmp_path, amqp_url):
    async with over_tls(amqp_url, certificate(tmp_path, "broker")) as url:
        yield url


def opened(folder, url, **options):
    context = ConnectorContext(folder, Credentials({"env": EnvProvider({"BROKER": url})}))
    query = "".join(f"&{name}={value}" for name, value in options.items())
    return (
        open_source(ExtractConfig(source=f"${{BROKER}}?queue=reviews{query}"), context),
        open_destination(LoadConfig(destination=f"${{BROKER}}?exchange=scores{query}"), context),
    )


async def test_a_broker_whose_certificate_is_vouched_for_is_used(tmp_path, amqp_url, secured):
    async with queues_at(amqp_url) as queues:
        await queues.declare("reviews")
        await queues.declare_exchange("scores", all="#")
        await queues.put("reviews", *reviews([1]))
        source, destination = opened(tmp_path, secured, ssl_ca=tmp_path / "broker.pem")
        assert [record.data["id"] for record in (await source.read(None, 1)).records] == ["r000001"]
        assert (await destination.load(batch({"id": "a"}))).loaded == 1
        await source.close()
        await destination.close()
        assert await queues.depth("all") == 1


@pytest.mark.parametrize("ca", ["another.pem", None])
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path, secured, ca):
    certificate(tmp_path, "another")
    for each in opened(tmp_path, secured, **({"ssl_ca": tmp_path / ca} if ca else {})):
        with pytest.raises(DependencyUnavailable) as refused:
            await each.check()
        assert "shows a certificate that is not trusted: " in str(refused.value)
        assert "ssl_ca" in str(refused.value)
        assert "Errno" not in str(refused.value)
        await each.close()
