"""A request is what the address and the headers say, and nothing that stands in one of them makes it another."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.http.client.errors import InvalidRequest
from loom_ai.http.client.prepared import Origin, prepared


def head(url: str, *headers: tuple[str, str]) -> list[str]:
    return prepared(url, headers).with_body(b"{}").decode().split("\r\n")


def test_a_request_holds_its_length_and_its_body():
    lines = head("http://h:8000/v1/chat", ("Content-Type", "application/json"))
    assert lines[0] == "POST /v1/chat HTTP/1.1"
    assert set(lines[1:-2]) == {
        "Host: h:8000",
        "Accept: */*",
        "User-Agent: loom",
        "Content-Type: application/json",
        "Content-Length: 2",
    }
    assert lines[-2:] == ["", "{}"]


@pytest.mark.parametrize(
    ("url", "origin", "host", "target"),
    [
        ("http://h/a", Origin("h", 80, tls=False), "h", "/a"),
        ("https://h/a?b=c%20d", Origin("h", 443, tls=True), "h", "/a?b=c%20d"),
        ("https://h:444", Origin("h", 444, tls=True), "h:444", "/"),
        ("http://[::1]:8000/a", Origin("::1", 8000, tls=False), "[::1]:8000", "/a"),
        (
            "https://bücher.example/ä b",
            Origin("xn--bcher-kva.example", 443, tls=True),
            "xn--bcher-kva.example",
            "/%C3%A4%20b",
        ),
        ("http://h/models/m:generate#x", Origin("h", 80, tls=False), "h", "/models/m:generate"),
    ],
)
def test_the_address_says_where_it_goes(url, origin, host, target):
    assert prepared(url, ()).origin == origin
    lines = head(url)
    assert lines[0] == f"POST {target} HTTP/1.1"
    assert f"Host: {host}" in lines


@pytest.mark.parametrize(
    "url", ["", "h/a", "not a url", "ftp://h/a", "http://", "http://h:x/", "http:///a", "http://h:99999/"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidRequest, match="no http"):
        prepared(url, ())


def test_of_headers_with_the_same_name_the_last_one_is_sent():
    lines = head("http://h/", ("User-Agent", "mine"), ("authorization", "a"), ("Authorization", "b"))
    assert [each for each in lines if each.lower().startswith(("user-agent", "authorization"))] == [
        "User-Agent: mine",
        "Authorization: b",
    ]


def test_who_is_named_in_the_address_is_sent_as_basic_authentication_unless_a_header_says_more():
    sent = base64.b64encode(b"me:p@ss").decode()
    assert f"Authorization: Basic {sent}" in head("http://me:p%40ss@h/")
    assert "me" not in head("http://me:p%40ss@h/")[0]
    assert "Host: h" in head("http://me:p%40ss@h/")
    assert "Authorization: Bearer key" in head("http://me:p%40ss@h/", ("Authorization", "Bearer key"))


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nX: 1", "a\rb", "a\x00", "\x7f"])
def test_a_value_cannot_add_a_header_and_is_not_shown(value):
    with pytest.raises(InvalidRequest, match="the header X-Key holds a line break") as refused:
        prepared("http://h/", (("X-Key", value),))
    assert value not in str(refused.value)


@pytest.mark.parametrize("name", ["", "X:", "X Y", "X\r\nY", "Content-Length", "transfer-encoding", "Ä"])
def test_a_name_that_is_none_or_that_divides_requests_is_refused(name):
    with pytest.raises(InvalidRequest, match="cannot be sent"):
        prepared("http://h/", ((name, "1"),))


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_address_and_no_value_makes_more_lines(path, value):
    try:
        lines = head(f"http://h/{path}", ("X", value))
    except InvalidRequest:
        return
    assert len(lines) == 8
    assert lines[0].startswith("POST /")
    assert lines[0].count(" ") == 2
