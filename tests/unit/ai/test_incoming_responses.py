"""Responses are read as RFC 9112 says, in whatever pieces they arrive; what is none, or two in one, is refused."""

from __future__ import annotations

import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.http.client.errors import ConnectionClosed, InvalidResponse
from loom_ai.http.client.incoming import IncomingResponse

MOST = 1000


def fed(*pieces: bytes, end: bool = False, most: int = MOST) -> IncomingResponse:
    incoming = IncomingResponse(most)
    for piece in pieces:
        incoming.feed(piece)
    if end:
        incoming.end()
    return incoming


def chunked(*chunks: bytes, after: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n" + after + b"\r\n"


HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = {
    "a length": (HEAD + b"Content-Length: 4\r\nRetry-After: 3\r\n\r\nfine", False),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", False),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"fi", b"ne"), False),
    "chunks with spaces": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4  \r\nfine\r\n0\r\n\r\n", False),
    "headers after the chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"fine", after=b"Retry-After: 9\r\n"),
        False,
    ),
    "an interim response before": (
        b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
        False,
    ),
    "lines that end with LF": (b"HTTP/1.1 200 OK\nContent-Length: 4\n\nfine", False),
    "the connection's end": (HEAD + b"Content-Type: text/plain\r\n\r\nfine", True),
    "a refusal": (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", False),
}


@pytest.mark.parametrize(("data", "by_end"), WHOLE.values(), ids=WHOLE)
def test_a_response_is_the_same_in_whatever_pieces_it_arrives(data, by_end):
    expected = fed(data, end=by_end).response()
    for first in range(1, len(data)):
        incoming = fed(data[:first], data[first:], end=by_end)
        assert incoming.complete
        assert incoming.response() == expected
    assert fed(*(bytes([each]) for each in data), end=by_end).response() == expected


def test_status_headers_and_body_are_what_was_sent():
    response = fed(HEAD + b"Retry-After: 3\r\nX-Empty:\r\nContent-Length: 4\r\n\r\nfine").response()
    assert (response.status, response.body.data, response.body.fault) == (200, b"fine", None)
    assert (response.headers["retry-after"], response.headers["x-empty"]) == ("3", "")


def test_what_comes_before_and_after_a_response_says_nothing_about_it():
    for name in ("headers after the chunks", "an interim response before"):
        response = fed(WHOLE[name][0]).response()
        assert (response.status, response.headers.get("Retry-After")) == (200, None)


@pytest.mark.parametrize(
    ("data", "last"),
    [
        (HEAD + b"Content-Length: 0\r\n\r\n", False),
        (HEAD + b"Content-Length: 0\r\nConnection: close\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (HEAD + b"Content-Length: 0\r\n\r\nHTTP", True),
        (HEAD + b"Content-Length: 0\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nno", True),
        (HEAD + b"Content-Length: 0\r\n\r\nno HTTP", True),
    ],
)
def test_a_connection_is_not_used_again_where_more_came_than_was_asked_for_or_the_server_says_so(data, last):
    incoming = fed(data)
    assert (incoming.complete, incoming.last) == (True, last)
    assert (incoming.response().status, incoming.response().body.data) == (200, b"")


REFUSED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a length and chunks": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"fine"),
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nfine!",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": HEAD + b"Content-Length: +4\r\n\r\nfine",
    "a space before the colon": HEAD + b"Content-Length : 4\r\n\r\nfine",
    "a folded header": HEAD + b"X: 1\r\n Content-Length: 4\r\n\r\nfine",
    "a control character": HEAD + b"X: 1\x00\r\nContent-Length: 4\r\n\r\nfine",
    "a chunk of no size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "a chunk that is longer than it says": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nfine\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a header that is too long": HEAD + b"Content-Length: 0\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "too many headers": HEAD + b"X: 1\r\n" * 15_000,
    "interim responses without an end": b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000,
    "headers after the chunks without an end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: 1\r\n" * 15_000,
    "an extension of a chunk without an end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=" + b"x" * 70_000,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("size", [10**6, 100])
def test_what_is_no_response_or_may_be_read_in_two_ways_is_refused(data, size):
    incoming = IncomingResponse(MOST)
    with pytest.raises(InvalidResponse):
        for start in range(0, len(data), size):
            incoming.feed(data[start : start + size])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 2",
        HEAD,
        HEAD + b"Content-Length: 4\r\n\r\nfin",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n",
    ],
)
def test_a_response_that_breaks_off_is_none(data):
    incoming = fed(data)
    with pytest.raises(ConnectionClosed):
        incoming.end()


@pytest.mark.parametrize("end", [True, False])
def test_no_more_of_a_body_is_read_than_asked_for_and_that_is_said(end):
    told = b"" if end else b"Content-Length: 1000000\r\n"
    incoming = fed(HEAD + told + b"\r\n", *[b"x" * 400] * 3)
    assert (incoming.complete, incoming.last) == (True, True)
    assert (len(incoming.response().body.data), incoming.response().body.fault) == (MOST, "it is larger than 0 MB")


def test_a_small_body_that_unfolds_to_a_large_one_is_cut():
    data = gzip.compress(b"x" * 100_000)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data)
    body = fed(head + data).response().body
    assert (len(body.data), body.fault) == (MOST, "it is larger than 0 MB")


def test_tiny_chunks_are_no_headers():
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*[b"x"] * 90_000)
    assert (
        fed(*(data[each : each + 100] for each in range(0, len(data), 100)), most=10**6).response().body.fault is None
    )


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_whatever_comes_is_a_response_or_refused(data, cuts):
    places = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    incoming = IncomingResponse(100)
    try:
        for start, end in itertools.pairwise(places):
            incoming.feed(HEAD + data[start:end] if start == 0 else data[start:end])
        incoming.end()
    except (InvalidResponse, ConnectionClosed):
        return
    assert len(incoming.response().body.data) <= 100
