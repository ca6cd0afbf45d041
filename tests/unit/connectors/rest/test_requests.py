"""Tests how REST APIs are asked: authenticated, paced, tried again, and with credentials sent to nobody else."""

from __future__ import annotations

import json
from email.utils import format_datetime

import pytest

from loom_common.errors import AccessRefused, DependencyUnavailable, RateLimited, SourceError, UpstreamTroubled
from support.clocks import ManualClock
from support.pieces import read_through
from support.rest_clients import AUTH, fetched, reading
from support.rest_server import TOKEN, Api, Fault, serving


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.mark.parametrize("kind", AUTH)
async def test_requests_are_authenticated(api, kind):
    api.auth = kind
    async with reading(f"{api.location}/link", pagination="link", auth=AUTH[kind]) as source:
        assert len(await read_through(source)) == 23


async def test_user_and_password_may_stand_in_the_location(api):
    api.auth = "basic"
    location = f"{api.location}/link".replace("://", "://me:${TOKEN}@")
    async with reading(location, pagination="link") as source:
        assert len(await read_through(source)) == 23


@pytest.mark.parametrize("kind", [None, *AUTH])
async def test_a_refused_credential_is_told_and_not_shown(api, kind):
    api.faults = [Fault(401, body=json.dumps({"message": f"no {TOKEN}"}).encode())]
    async with reading(f"{api.location}/link", **({"auth": AUTH[kind]} if kind else {})) as source:
        with pytest.raises(AccessRefused, match=r"refused access \(401.*See `extract.options.auth`") as raised:
            await source.check()
    assert kind is None or TOKEN not in str(raised.value)
    assert len(api.asked) == 1


@pytest.mark.parametrize("location", ["header", "body"])
async def test_a_token_is_fetched_once_and_renewed_before_it_expires(api, clock, location):
    api.auth, api.lifetime = "token", 600.0
    options = {"auth": fetched(api, client_location=location, scopes=["read"]), "pagination": "link"}
    async with reading(f"{api.location}/link", clock, **options) as source:
        await read_through(source)
        assert api.given == 1
        clock.pass_time(539)
        await source.read(None, 5)
        assert api.given == 1
        clock.pass_time(2)
        api.is_valid = lambda number: number == 2
        await source.read(None, 5)
        assert api.given == 2


async def test_a_token_that_is_refused_early_is_fetched_again_once(api):
    api.auth, api.is_valid = "token", lambda number: number == 2
    async with reading(f"{api.location}/link", auth=fetched(api)) as source:
        assert len((await source.read(None, 5)).records) == 5
    api.is_valid = lambda number: False
    async with reading(f"{api.location}/link", auth=fetched(api)) as source:
        with pytest.raises(AccessRefused, match="401"):
            await source.read(None, 5)
    assert api.given == 4


async def test_a_refused_client_is_told(api):
    async with reading(f"{api.location}/link", auth=fetched(api, client_id="other")) as source:
        with pytest.raises(AccessRefused, match=r"/token was refused with 401. See `client_id`"):
            await source.check()
    assert not [path for _, path, _ in api.asked if path == "/link"]


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 12),
        ({"Retry-After": "0"}, 0, 1),
        ({"Retry-After": "Sun, 01 Mar 2026 00:16:47 GMT"}, 7, 12),
        ({"Retry-After": "Sunday, 01-Mar-26 00:16:47 GMT"}, 7, 12),
        ({"Retry-After": "Sun Mar  1 00:16:47 2026"}, 7, 12),
        ({"Retry-After": "soon"}, 0, 1),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 7, 14),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772324207"}, 7, 14),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "1772324207000"}, 7, 14),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "7"}, 7, 14),
        ({}, 0, 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_is_waited_for_as_long_as_it_asks(api, clock, status, headers, least, most):
    api.faults = [Fault(status, headers)]
    async with reading(f"{api.location}/link", clock) as source:
        assert len((await source.read(None, 5)).records) == 5
    assert least <= sum(clock.slept) <= most


async def test_the_clock_of_the_tests_reads_as_the_dates_above_say(clock):
    clock.pass_time(7)
    assert format_datetime(clock.now(), usegmt=True) == "Sun, 01 Mar 2026 00:16:47 GMT"
    assert clock.now().timestamp() == 1772324207


async def test_a_longer_pause_is_left_to_the_retry_queue(api, clock):
    api.faults = [Fault(429, {"Retry-After": "3600"})]
    async with reading(f"{api.location}/link", clock) as source:
        with pytest.raises(RateLimited) as raised:
            await source.check()
    assert raised.value.retry_after == 3600
    assert clock.slept == []


async def test_a_limit_that_is_used_up_is_waited_for_before_it_is_refused(api, clock):
    api.faults = [Fault(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, b"[]")]
    async with reading(f"{api.location}/link", clock) as source:
        await source.read(None, 5)
        await source.close()
        await source.read(None, 5)
    assert clock.slept == [30]


async def test_a_forbidden_request_without_requests_left_is_waited_for(api, clock):
    api.faults = [Fault(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"})]
    async with reading(f"{api.location}/link", clock) as source:
        await source.check()
    assert sum(clock.slept) >= 5


async def test_requests_are_spaced_by_the_rate(api, clock):
    async with reading(f"{api.location}/link", clock, pagination="link", rate_limit=4) as source:
        await read_through(source)
    assert clock.slept == [0.25] * 4


@pytest.mark.parametrize("fault", [Fault(500), Fault(502), Fault(408), Fault(cut=True), Fault(200, body=b"[1, ")])
async def test_what_may_pass_is_tried_again_with_growing_pauses(api, clock, fault):
    api.faults = [fault] * 4
    async with reading(f"{api.location}/link", clock) as source:
        assert len((await source.read(None, 5)).records) == 5
    assert [low <= pause <= 2 * low for low, pause in zip((0.25, 0.5, 1, 2), clock.slept, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (
            Fault(500, body=b'{"error": {"message": "broken"}}'),
            UpstreamTroubled,
            "answered 500: broken. Gave up",
        ),
        (Fault(503), DependencyUnavailable, "answered 503. Gave up after 5 attempts"),
        (Fault(cut=True), UpstreamTroubled, "broke off its answer"),
        (Fault(200, body=b"{"), SourceError, "no JSON"),
        (
            Fault(404, body=b'{"detail": "no list"}'),
            SourceError,
            "answered 404: no list. See `extract.source`",
        ),
        (Fault(422, body=b"<html>bad</html>"), SourceError, r"answered 422. See"),
        (Fault(302), SourceError, "leads to no address"),
    ],
)
async def test_what_does_not_pass_is_told(api, fault, error, words):
    api.faults = [fault] * 5
    async with reading(f"{api.location}/link") as source:
        with pytest.raises(error, match=words):
            await source.check()


async def test_a_server_that_is_not_there_is_told():
    async with reading("rest+http://127.0.0.1:1/x") as source:
        with pytest.raises(DependencyUnavailable, match=r"nothing listens at 127.0.0.1:1.*5 attempts"):
            await source.check()


async def test_a_slow_server_is_given_up_on(api):
    with serving(Api()) as slow:
        slow.slow = True
        async with reading(f"{slow.location}/x", attempts=1, timeouts={"read": 0.05}) as source:
            with pytest.raises(Exception, match=r"did not answer in time \(read 0.05 s") as raised:
                await source.check()
        slow.slow = False
    assert type(raised.value).__name__ == "Timeout"


@pytest.mark.parametrize("kind", AUTH)
async def test_no_credential_leaves_for_another_host(api, kind):
    """Another server, which is allowed, gets neither key nor header, by a redirection or by a next link."""
    with serving(Api([{"id": 100}])) as other:
        api.faults = [
            Fault(307, {"Location": f"{other.url}/link"}),
            Fault(200, {"Link": f'<{other.url}/link>; rel="next"'}, b"[]"),
        ]
        secret = {"headers": {"X-Token": "${TOKEN}", "X-Open": "yes"}, "params": {"token": "${TOKEN}"}}
        options = {"auth": AUTH[kind], **secret, "allowed_hosts": ["127.0.0.1"], "pagination": "link"}
        for _ in range(2):
            async with reading(f"{api.location}/link", **options) as source:
                assert [record.data for record in await read_through(source)] == [{"id": 100}]
    assert TOKEN in str(api.asked)
    assert other.asked
    assert TOKEN not in str(other.asked)
    assert "Authorization" not in other.asked[0][2]
    assert other.asked[0][2]["X-Open"] == "yes"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_another_host_is_refused_unless_it_is_allowed(api, status):
    api.faults = [Fault(status, {"Location": f"https://elsewhere.example/x?key={TOKEN}"})]
    async with reading(f"{api.location}/link", auth=AUTH["bearer"]) as source:
        with pytest.raises(SourceError, match=r"a redirection leads to https://elsewhere.example/x, which") as raised:
            await source.check()
    assert TOKEN not in str(raised.value)


async def test_a_next_link_to_another_host_is_refused_unless_it_is_allowed(api):
    api.faults = [Fault(200, {"Link": '<https://elsewhere.example/x>; rel="next"'}, b"[]")]
    async with reading(f"{api.location}/link", pagination="link") as source:
        with pytest.raises(SourceError, match=r"a next link leads to https://elsewhere.example/x"):
            await source.check()


async def test_a_redirection_on_the_same_host_is_followed_with_credentials(api):
    api.auth = "query"
    api.faults = [Fault(302, {"Location": "/page"})]
    async with reading(f"{api.location}/moved", records="data.items", auth=AUTH["query"]) as source:
        assert len((await source.read(None, 5)).records) == 5


async def test_a_circle_of_redirections_is_told(api):
    api.faults = [Fault(302, {"Location": "/link"})] * 9
    async with reading(f"{api.location}/link") as source:
        with pytest.raises(SourceError, match="redirects in a circle"):
            await source.check()


@pytest.mark.parametrize("options", [{"auth": AUTH["query"]}, {"params": {"key": "${TOKEN}"}}])
async def test_no_cursor_holds_a_secret_that_the_server_repeats(api, options):
    api.auth = "query"
    async with reading(f"{api.location}/link", pagination="link", **options) as source:
        page = await source.read(None, 7)
        assert TOKEN not in json.dumps(page.cursor)
        assert page.cursor["at"] == f"{api.url}/link?cursor=5&limit=5"
        assert len((await source.read(page.cursor, 100)).records) == 16
