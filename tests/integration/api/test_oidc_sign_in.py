"""Tests signing in at an OpenID provider on this machine, honestly and otherwise."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_api.http.answers import PREFIX
from loom_api.oidc.metadata import discover
from loom_common.errors import DependencyUnavailable
from loom_coordinator.db import audit_log
from loom_coordinator.db.sign_in import oidc_sessions
from support.api import RUN
from support.oidc_browser import (
    OWN,
    POLICIES,
    browsing,
    cookies_in,
    count_sessions,
    sent_back,
)
from support.oidc_provider import CLIENT, encoded, openid_provider, query_of


async def test_somebody_signs_in_at_the_provider_sees_what_policies_allow_and_signs_out(engine, provider):
    async with browsing(engine, provider) as client:
        assert "Sign in at 127.0.0.1" in (await client.get("/login?next=/runs")).text
        back = await sent_back(client, provider, "/login/oidc?next=%2Fruns%3Fstatus%3Dfailed")
        signed_in = await client.get(back)
        assert (signed_in.status_code, 'content="0;url=/runs?status=failed"' in signed_in.text) == (200, True)
        [cookie], [forgotten] = cookies_in(signed_in, "loom_session"), cookies_in(signed_in, "loom_login")
        assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
        assert "Max-Age=0" in forgotten
        page = await client.get(f"/runs/{RUN}")
        assert (page.status_code, "anna@example.com" in page.text, "Sign out" in page.text) == (200, True, True)
        assert (await client.get("/costs")).status_code == 200
        assert (await client.post(f"/runs/{RUN}/cancel", data={"x": ""}, headers=OWN)).status_code == 403
        session = client.cookies["loom_session"]
        left = await client.post("/logout", data={"x": ""}, headers=OWN)
        assert f"{provider.issuer}/logout?client_id={CLIENT}" in left.text
        again = await client.get(f"/runs/{RUN}", headers={"Cookie": f"loom_session={session}"})
        assert (again.status_code, again.headers["location"][:12]) == (303, "/login?next=")
    async with engine.connect() as connection:
        lines = await audit_log.page(connection, "anna@example.com", 10)
    assert [(each.action, each.outcome) for each in lines] == [("control", "denied"), ("sign in", "done")]
    assert lines[1].details == {"issuer": provider.issuer, "subject": "248289761001"}


async def test_the_cookie_of_an_attempt_is_for_its_way_back_alone_and_the_address_does_not_tell_it(engine, provider):
    async with browsing(engine, provider) as client:
        begun = await client.get("/login/oidc")
        [cookie] = cookies_in(begun, "loom_login")
        assert {"HttpOnly", "SameSite=lax", "Secure", "Path=/login", "Max-Age=600"} <= set(cookie.split("; "))
        asked = query_of(begun.headers["location"])
        secret = client.cookies["loom_login"].partition(".")[0]
        assert not {secret} & set(asked.values())
        assert len({asked["state"], asked["nonce"], asked["code_challenge"], secret}) == 4


@pytest.mark.parametrize(
    ("user", "policies", "status"),
    [
        ({"groups": ["readers"]}, POLICIES, 200),
        ({"groups": "readers"}, POLICIES, 200),
        ({"groups": ["writers"]}, POLICIES, 404),
        ({"groups": {"readers": True}}, POLICIES, 404),
        ({"groups": ["ben"]}, [{**POLICIES[0], "user_pattern": "(?!ben).*"}], 404),
        ({}, [{**POLICIES[0], "user_pattern": "ben@.*"}], 200),
    ],
)
async def test_policies_speak_of_groups_by_a_name_of_their_own(engine, provider, user, policies, status):
    provider.user = {"sub": "2", "email": "ben@example.com", "email_verified": True, **user}
    async with browsing(engine, provider, policies) as client:
        assert (await client.get(await sent_back(client, provider))).status_code == 200
        assert (await client.get(f"/runs/{RUN}")).status_code in (status, 403 if status == 404 else status)
        bearer = {"Authorization": f"Bearer {provider.access_token()}"}
        answer = await client.get(f"{PREFIX}/runs", headers=bearer)
        assert (answer.status_code, bool(answer.json()["items"])) == (200, status == 200)


async def test_what_the_id_token_does_not_say_the_user_info_does_of_the_same_person(engine, provider):
    provider.user = {"sub": "7"}
    provider.user_info = {"sub": "7", "email": "anna@example.com", "email_verified": True}
    async with browsing(engine, provider) as client:
        assert (await client.get(await sent_back(client, provider))).status_code == 200
        assert (await client.get(f"/runs/{RUN}")).status_code == 200
    provider.user_info["sub"] = "8"
    async with browsing(engine, provider) as client:
        refused = await client.get(await sent_back(client, provider))
        assert (refused.status_code, "does not say who signed in" in refused.text) == (401, True)


@pytest.mark.parametrize("once", [True, False], ids=["provider refuses", "provider gives a token again"])
async def test_an_answer_of_the_provider_signs_in_once(engine, provider, once):
    provider.once = once
    async with browsing(engine, provider) as client:
        back = await sent_back(client, provider)
        kept = {"Cookie": f"loom_login={client.cookies['loom_login']}"}
        assert (await client.get(back)).status_code == 200
        assert (await client.get(back)).status_code == 401  # the cookie is gone
        client.cookies.clear()
        again = await client.get(back, headers=kept)
        assert (again.status_code, cookies_in(again, "loom_session")) == (401, [])
    assert await count_sessions(engine) == 1


async def test_the_answer_to_another_browser_is_refused_before_the_provider_is_asked(engine, provider):
    async with browsing(engine, provider) as mallory, browsing(engine, provider) as anna:
        back = await sent_back(mallory, provider)
        for _ in range(2):  # without an attempt, and with one of her own
            answer = await anna.get(back)
            assert (answer.status_code, cookies_in(answer, "loom_session")) == (401, [])
            await anna.get("/login/oidc")
        for cookie in ("", ".", "x.y", "a" * 43 + ".%%%", "é"):
            answer = await anna.get(back, headers={"Cookie": f"loom_login={cookie}".encode()})
            assert answer.status_code == 401
    assert provider.asked["/token"] == 0


async def test_an_answer_in_the_name_of_another_provider_is_refused(engine, provider):
    async with browsing(engine, provider) as client:
        back = await sent_back(client, provider)
        answer = await client.get(f"{back}&iss=https%3A%2F%2Fevil.example")
        assert (answer.status_code, "another OpenID provider" in answer.text) == (401, True)
    provider.metadata["authorization_response_iss_parameter_supported"] = True
    async with browsing(engine, provider) as client:
        assert (await client.get(await sent_back(client, provider))).status_code == 401
        back = await sent_back(client, provider)
        assert (await client.get(f"{back}&iss={provider.issuer}")).status_code == 200


async def test_an_error_of_the_provider_is_said_and_nothing_else_of_the_address(engine, provider):
    async with browsing(engine, provider) as client:
        state = query_of(await sent_back(client, provider))["state"]
        said = await client.get("/login/callback", params={"state": state, "error": "access_denied"})
        assert (said.status_code, "(access_denied)" in said.text) == (401, True)
        state = query_of(await sent_back(client, provider))["state"]
        said = await client.get("/login/callback", params={"state": state, "error": "call 555-1234 <b>now"})
        assert (said.status_code, "555" in said.text) == (401, False)


AWAY = ("https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nX: y", "javascript:alert(1)")


async def test_signing_in_leads_to_no_other_site(engine, provider):
    async with browsing(engine, provider) as client:
        for away in AWAY:
            begun = await client.get("/login/oidc", params={"next": away})
            signed_in = await client.get(await provider.sign_in(begun.headers["location"]))
            assert (signed_in.status_code, 'content="0;url=/"' in signed_in.text) == (200, True), away
            begun = await client.get("/login/oidc")
            back = await provider.sign_in(begun.headers["location"])
            secret = client.cookies["loom_login"].partition(".")[0]
            client.cookies.clear()
            changed = {"Cookie": f"loom_login={secret}.{encoded(away.encode())}"}
            assert 'content="0;url=/"' in (await client.get(back, headers=changed)).text, away


async def test_whoever_may_not_be_a_client_is_told_without_the_secret(engine, provider, monkeypatch):
    monkeypatch.setenv("THE_SECRET", "wrong-0815")
    async with browsing(engine, provider) as client:
        answer = await client.get(await sent_back(client, provider))
        assert (answer.status_code, "client_secret" in answer.text, "0815" in answer.text) == (401, True, False)


async def test_a_provider_may_take_the_secret_in_the_body_alone(engine, provider):
    provider.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    async with browsing(engine, provider) as client:
        assert (await client.get(await sent_back(client, provider))).status_code == 200


USELESS = [
    {"issuer": "https://evil.example"},
    {"token_endpoint": None},
    {"jwks_uri": 5},
    {"token_endpoint": "http://evil.example/token"},
    {"authorization_endpoint": "javascript:alert(1)"},
    {"authorization_endpoint": "http://["},
]


async def test_a_provider_that_says_nothing_of_use_of_itself_is_not_asked(engine, provider):
    for provider.metadata in USELESS:
        with pytest.raises(DependencyUnavailable, match="provider"):
            await discover(provider.issuer)
    async with browsing(engine, provider) as client:
        answer = await client.get("/login/oidc")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text


async def test_while_the_provider_is_away_those_who_signed_in_and_tokens_of_known_keys_go_on(engine, monkeypatch):
    async with openid_provider() as provider, browsing(engine, provider) as client:
        assert (await client.get(await sent_back(client, provider))).status_code == 200
        bearer = {"Authorization": f"Bearer {provider.access_token()}"}
        assert (await client.get(f"{PREFIX}/runs", headers=bearer)).status_code == 200
        unknown = {"Authorization": f"Bearer {provider.signed(provider.said({}), kid='unknown')}"}
        issuer = provider.issuer
    async with browsing(engine, provider) as other:
        answer = await other.get("/login/oidc")
        assert (answer.status_code, "The OpenID provider cannot be asked" in answer.text) == (503, True)
        assert (await other.get(f"{PREFIX}/runs", headers=bearer)).status_code == 503
        known = {"Cookie": f"loom_session={client.cookies['loom_session']}"}
        assert (await other.get(f"/runs/{RUN}", headers=known)).status_code == 200
        assert (await other.get(f"{PREFIX}/runs", headers=unknown)).status_code == 503
        assert (await other.post("/logout", data={"x": ""}, headers={**OWN, **known})).status_code == 303
    assert issuer


async def test_a_session_ends_with_its_time_and_with_its_provider(engine, provider):
    now = dt.datetime.now(dt.UTC)
    who = oidc_sessions.SignedIn("anna@example.com", [], provider.issuer, "1")
    async with engine.begin() as connection:
        past = await oidc_sessions.open_session(connection, "a", who, now - dt.timedelta(hours=2), 3600)
        other = oidc_sessions.SignedIn(who.user, [], "https://another.example", "1")
        elsewhere = await oidc_sessions.open_session(connection, "b", other, now, 3600)
        good = await oidc_sessions.open_session(connection, "c", who, now, 3600)
    async with browsing(engine, provider) as client:
        for secret, status in ((past, 303), (elsewhere, 303), ("oidc_x", 303), (good, 200)):
            answer = await client.get(f"/runs/{RUN}", headers={"Cookie": f"loom_session={secret}"})
            assert answer.status_code == status
    assert await count_sessions(engine) == 2  # what had ended was removed
    stored = b"".join(each.read_bytes() for each in engine_files(engine))
    assert good.encode() not in stored


def engine_files(engine):
    from pathlib import Path

    path = Path(engine.url.database)
    return path.parent.glob(f"{path.name}*")
