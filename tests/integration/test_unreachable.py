"""Tests what is told where an endpoint cannot be reached: every way in which no connection comes about."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from loom_ai.http.endpoints import endpoint_of
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.reachability import reach
from loom_ai.settings import ModelSettings
from loom_common.config.credentials import Credentials
from loom_common.errors import AccessRefused, DependencyUnavailable, LoomError, PermanentError
from loom_dev.backends.ports import reserve_port
from support.certificates import certificate, shown_by_a_server
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory) -> ssl.SSLContext:
    """Provide the certificate of a server whose authority nobody knows."""
    return shown_by_a_server(certificate(tmp_path_factory.mktemp("tls"), "server"))


@contextlib.asynccontextmanager
async def listening(says: bytes = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a server that says the same to everyone, and closes; gives its host and port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(100)
            writer.write(says)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def told_by_a_call(base_url: str) -> LoomError:
    models = HttpModelClient(ModelSettings(attempts=1))
    try:
        await models.complete(call_of(base_url=base_url))
    except LoomError as error:
        return error
    finally:
        await models.close()
    raise AssertionError("it was reached")


async def told_before(base_url: str) -> LoomError:
    with pytest.raises(LoomError) as error:
        await reach(endpoint_of("gpt-4o-mini", base_url), Credentials())
    return error.value


@pytest.fixture(params=[told_by_a_call, told_before], ids=["a call", "validate --connect"])
def told(request):
    return request.param


async def test_a_port_where_nothing_listens(told):
    port = reserve_port()
    error = await told(f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, DependencyUnavailable)
    assert f"connection refused: nothing listens at 127.0.0.1:{port}" in str(error)


async def test_a_host_that_does_not_exist(told):
    error = await told("http://no-such-host.invalid/v1")
    assert isinstance(error, DependencyUnavailable)
    assert "there is no host no-such-host.invalid" in str(error)


async def test_tls_spoken_to_a_server_that_has_none(told):
    async with listening(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as place:
        error = await told(f"https://{place}/v1")
    assert isinstance(error, DependencyUnavailable)
    assert f"{place} does not speak TLS: write http:// instead of https://" in str(error)


async def test_no_tls_spoken_to_a_server_that_wants_it(told, untrusted):
    async with listening(tls=untrusted) as place:
        error = await told(f"http://{place}/v1")
    assert isinstance(error, DependencyUnavailable)
    assert "closed the connection without an answer in HTTP: a server that wants https://" in str(error)


async def test_no_tls_spoken_to_a_proxy_that_says_so():
    words = b"<center>The plain HTTP request was sent to HTTPS port</center>"
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(words)
    async with listening(head + words) as place:
        error = await told_by_a_call(f"http://{place}/v1")
    assert isinstance(error, PermanentError)
    assert "wants TLS" in str(error)
    assert "Write https://" in str(error)


async def test_a_certificate_that_nobody_vouches_for(told, untrusted):
    async with listening(tls=untrusted) as place:
        error = await told(f"https://{place}/v1")
    assert isinstance(error, DependencyUnavailable)
    assert "the certificate of 127.0.0.1 is not trusted (self-signed certificate)" in str(error)


async def test_a_server_that_speaks_no_http(told):
    async with listening(b"SSH-2.0-OpenSSH_9.2\r\n") as place:
        error = await told(f"http://{place}/v1")
    assert isinstance(error, DependencyUnavailable)
    assert "without an answer in HTTP" in str(error)


async def test_before_a_run_what_answers_is_there_at_no_cost_and_a_wrong_path_or_key_is_told():
    async with SimulatedModel() as model:
        assert await reach(endpoint_of("gpt-4o-mini", model.base_url), Credentials()) == "answers"
        wrong = await told_before(model.base_url.replace("/v1", "/api"))
        assert isinstance(wrong, PermanentError)
        assert "it often ends in /v1" in str(wrong)
        assert model.calls == 0


@pytest.mark.parametrize(("status", "kind"), [(401, AccessRefused), (407, AccessRefused), (502, DependencyUnavailable)])
async def test_before_a_run_a_proxy_or_a_key_that_is_refused_is_told(status, kind):
    async with listening(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status) as place:
        error = await told_before(f"http://{place}/v1")
    assert isinstance(error, kind)
    assert f"HTTP {status}" in str(error)
