"""The client of model calls sends each request once, reads its own response and no other one's, keeps to its limits of
time, and trusts no certificate that it should not."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest
import uvloop

from loom_ai.http.client.client import HttpClient
from loom_ai.http.client.errors import ConnectionClosed, InvalidResponse, NoConnection
from loom_ai.http.client.prepared import Origin
from loom_common.http.connection_errors import cause_of
from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import patience, within
from support.certificates import certificate, shown_by_a_server
from support.raw_http import RawServer, answer

MOST = 100_000
LONG = patience(20)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(MOST)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: HttpClient, server: RawServer, body: bytes = b"{}", *, scheme: str = "http", **limits: float):
    url = f"{scheme}://{server.place}/v1/chat"
    return await client.post(url, {}, body, **{"connect": LONG, "read": LONG, "total": LONG, **limits})


async def until(condition) -> None:
    async with within(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_requests_that_follow_one_another_go_on_one_connection(client):
    async with RawServer(lambda number: answer(b"%d" % number)) as server:
        bodies = [(await ask(client, server, b"question %d" % number)).body.data for number in range(1, 4)]
        assert bodies == [b"1", b"2", b"3"]
        assert [each.rpartition(b"\r\n\r\n")[2] for each in server.requests] == [
            b"question 1",
            b"question 2",
            b"question 3",
        ]
        assert server.connections == 1


async def test_requests_at_the_same_time_have_each_a_connection_and_their_own_answer(client):
    async with RawServer() as server:
        server.respond = lambda number: answer(server.requests[number - 1].rpartition(b"\r\n\r\n")[2])
        answers = await asyncio.gather(*(ask(client, server, b"%d" % number) for number in range(20)))
        assert [each.body.data for each in answers] == [b"%d" % number for number in range(20)]
        assert server.connections == 20
        await ask(client, server)
        assert server.connections == 20


@pytest.mark.parametrize("said", [answer(b"1", "Connection: close"), b"HTTP/1.1 200 OK\r\n\r\n1"])
async def test_a_connection_that_the_server_ends_is_not_used_again(client, said):
    async with RawServer(lambda _: said, closes=lambda _: True) as server:
        assert [(await ask(client, server)).body.data for _ in range(2)] == [b"1", b"1"]
        assert (server.connections, len(server.requests)) == (2, 2)


async def test_a_connection_that_was_closed_meanwhile_is_not_used(client):
    async with RawServer() as server:
        await ask(client, server)
        server.close_connections()
        await until(lambda: not any(each.usable for idle in client._idle.values() for each in idle))
        assert (await ask(client, server)).status == 200
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("more", [answer(b"another one's"), b"HTT", b"no HTTP"])
async def test_no_request_is_answered_by_what_came_before_it_was_sent(client, more):
    async with RawServer(lambda number: answer(b"%d" % number) + (more if number == 1 else b"")) as server:
        assert (await ask(client, server)).body.data == b"1"
        assert (await ask(client, server)).body.data == b"2"
        server.say(more)
        await until(lambda: server.open == 0)
        assert (await ask(client, server)).body.data == b"3"


@pytest.mark.parametrize("said", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbroken"])
async def test_a_request_is_not_sent_again_where_it_may_have_been_carried_out(client, said):
    async with RawServer(lambda number: said if number == 2 else answer(), closes=lambda number: number == 2) as server:
        await ask(client, server)
        with pytest.raises(ConnectionClosed):
            await ask(client, server)
        assert len(server.requests) == 2


async def test_what_is_no_http_closes_the_connection(client):
    async with RawServer(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n") as server:
        with pytest.raises(InvalidResponse):
            await ask(client, server)
        await until(lambda: server.open == 0)


@pytest.mark.parametrize("limits", [{"read": 0.05}, {"total": 0.05}])
async def test_an_answer_that_takes_too_long_is_given_up_and_its_connection_closed(client, limits):
    async with RawServer(lambda _: b"") as server:
        with pytest.raises(TimeoutError):
            await ask(client, server, **limits)
        await until(lambda: server.open == 0)


async def test_who_is_cancelled_closes_the_connection(client):
    async with RawServer(lambda _: b"") as server:
        asked = asyncio.create_task(ask(client, server))
        await until(lambda: len(server.requests) == 1)
        asked.cancel()
        await until(lambda: server.open == 0)
        server.respond = lambda _: answer()
        assert (await ask(client, server)).status == 200
        assert server.connections == 2


async def test_an_answer_before_the_end_of_the_request_is_read_and_the_connection_closed(client):
    ended = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer(b"too long", status="413 Payload Too Large"))
        with contextlib.suppress(OSError):
            while await reader.read(100_000):
                pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        response = await client.post(url, {}, b"x" * 10_000_000, connect=LONG, read=LONG, total=LONG)
        assert response.status == 413
        async with within(10):
            await ended.wait()


async def test_a_body_that_is_too_large_is_cut_and_a_compressed_one_unfolded(client):
    packed = gzip.compress(b"fine")
    async with RawServer(
        lambda number: answer(b"x" * 300_000) if number == 1 else answer(packed, "Content-Encoding: gzip")
    ) as server:
        body = (await ask(client, server)).body
        assert (len(body.data), body.fault) == (MOST, "it is larger than 0 MB")
        assert (await ask(client, server)).body.data == b"fine"
        assert server.connections == 2


async def test_a_server_that_takes_no_connection_is_given_up_in_time(client, monkeypatch):
    async def never(_: object) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(client._addresses, "connected", never)
    async with RawServer() as server:
        with pytest.raises(NoConnection) as refused:
            await ask(client, server, connect=0.02)
        assert "none came about in time" in cause_of(refused.value, f"http://{server.place}")
        with pytest.raises(TimeoutError):
            await ask(client, server, total=0.02)


async def test_the_next_address_of_a_server_is_tried_where_one_refuses(client, monkeypatch):
    async with RawServer() as server:
        port = int(server.place.rpartition(":")[2])
        places = [("127.0.0.1", reserve_port()), ("127.0.0.1", port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        looked_up = []

        async def look_up(origin: Origin):
            looked_up.append(origin.host)
            return found

        monkeypatch.setattr("loom_ai.http.client.addresses._look_up", look_up)
        url = "http://models.example/v1"
        answers = await asyncio.gather(
            *(client.post(url, {}, b"", connect=LONG, read=LONG, total=LONG) for _ in range(4))
        )
        assert [each.status for each in answers] == [200] * 4
        assert looked_up == ["models.example"]


async def test_connections_that_nobody_uses_are_closed(client, monkeypatch):
    monkeypatch.setattr("loom_ai.http.client.client._IDLE_SECONDS", 0.02)
    async with RawServer() as server:
        await ask(client, server)
        await until(lambda: server.open == 0)
        assert client._idle == {}


async def test_closing_closes_the_connections():
    client = HttpClient(MOST)
    async with RawServer() as server:
        await ask(client, server)
        await client.close()
        await until(lambda: server.open == 0)


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "server")


async def test_over_tls_the_certificate_of_a_named_authority_is_trusted(own_certificate, client, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(own_certificate))
    async with RawServer(tls=shown_by_a_server(own_certificate)) as server:
        assert [(await ask(client, server, scheme="https")).body.data for _ in range(2)] == [b"fine", b"fine"]
        assert server.connections == 1


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_over_tls_nothing_is_sent_to_a_server_whose_certificate_is_not_trusted(
    own_certificate, client, monkeypatch, tmp_path, wrong
):
    shown = own_certificate if wrong == "authority" else certificate(tmp_path, "other", "DNS:other.example")
    if wrong == "name":
        monkeypatch.setenv("SSL_CERT_FILE", str(shown))
    async with RawServer(tls=shown_by_a_server(shown)) as server:
        with pytest.raises(NoConnection) as refused:
            await ask(client, server, scheme="https")
        assert "the certificate of 127.0.0.1 is not trusted" in cause_of(refused.value, f"https://{server.place}")
        assert server.requests == []


ON_UVLOOP = (
    test_requests_that_follow_one_another_go_on_one_connection,
    test_a_connection_that_was_closed_meanwhile_is_not_used,
    partial(test_a_connection_that_the_server_ends_is_not_used_again, said=b"HTTP/1.1 200 OK\r\n\r\n1"),
    partial(test_no_request_is_answered_by_what_came_before_it_was_sent, more=answer(b"another one's")),
    partial(test_a_request_is_not_sent_again_where_it_may_have_been_carried_out, said=None),
    partial(test_an_answer_that_takes_too_long_is_given_up_and_its_connection_closed, limits={"read": 0.05}),
    test_who_is_cancelled_closes_the_connection,
    test_an_answer_before_the_end_of_the_request_is_read_and_the_connection_closed,
    test_a_body_that_is_too_large_is_cut_and_a_compressed_one_unfolded,
)


@pytest.mark.parametrize("behaviour", ON_UVLOOP)
def test_all_of_this_is_so_on_the_event_loop_that_runs_use(behaviour):
    async def seen() -> None:
        client = HttpClient(MOST)
        try:
            await behaviour(client)
        finally:
            await client.close()

    uvloop.run(seen())


def test_tls_is_checked_on_the_event_loop_that_runs_use(own_certificate, monkeypatch, tmp_path):
    async def seen() -> None:
        client = HttpClient(MOST)
        await test_over_tls_nothing_is_sent_to_a_server_whose_certificate_is_not_trusted(
            own_certificate, client, monkeypatch, tmp_path, "name"
        )
        await client.close()
        client = HttpClient(MOST)
        await test_over_tls_the_certificate_of_a_named_authority_is_trusted(own_certificate, client, monkeypatch)
        await client.close()

    uvloop.run(seen())
