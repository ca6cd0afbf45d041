"""Shows tokens to the API and signs in with them at the console: what opens, for how long, and what is stored."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from structlog.testing import capture_logs

from loom.cli.root_command import command
from loom_api.http.answers import PREFIX
from loom_coordinator.db import idempotency
from loom_coordinator.db.sign_in import tokens
from support.api import RUN
from support.policed import OWN, asking, signed_in, token


async def test_a_token_that_has_expired_or_is_revoked_or_is_none_opens_nothing(engine):
    expired = await token(engine, "root", days=-1)
    revoked = await token(engine, "root", name="second")
    async with asking(engine) as (client, _):
        good = {"Authorization": f"Bearer {revoked}"}
        assert (await client.get(f"{PREFIX}/runs", headers=good)).status_code == 200
        async with engine.begin() as connection:
            await tokens.revoke(connection, "second", dt.datetime.now(dt.UTC))
        for secret in (expired, revoked, "", "loom_x", "é" * 5000):
            answer = await client.get(f"{PREFIX}/runs", headers={"Authorization": f"Bearer {secret}".encode()})
            assert answer.status_code == 401, secret
            assert "invalid_token" in answer.headers["www-authenticate"]
        for _ in range(10):
            answer = await client.get(f"{PREFIX}/runs", headers={"Authorization": "Bearer loom_x"})
        assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


async def test_only_hashes_of_tokens_and_sessions_are_stored(engine, tmp_path):
    secret = await token(engine, "root")
    async with asking(engine) as (client, _):
        session = await signed_in(client, secret)
    await engine.dispose()
    stored = b"".join(each.read_bytes() for each in tmp_path.glob("loom.db*"))
    assert secret.encode() not in stored
    assert session.encode() not in stored


async def test_a_session_of_the_console_lasts_until_somebody_signs_out_or_the_token_is_revoked(engine):
    secret = await token(engine, "root")
    async with asking(engine) as (client, _):
        await signed_in(client, secret)
        page = await client.get(f"/runs/{RUN}")
        assert (page.status_code, "Sign out" in page.text) == (200, True)
        session = client.cookies["loom_session"]
        await client.post("/logout", data={"x": ""}, headers=OWN)
        assert (await client.get("/runs", headers={"Cookie": f"loom_session={session}"})).status_code == 303
        await signed_in(client, secret)
        async with engine.begin() as connection:
            await tokens.revoke(connection, "root", dt.datetime.now(dt.UTC))
        assert (await client.get("/runs")).status_code == 303
        assert (await client.get("/live/runs", headers={"HX-Request": "true"})).status_code == 401


@pytest.mark.parametrize("away", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nSet-Cookie: b=c"])
async def test_signing_in_leads_to_no_other_site(engine, away):
    async with asking(engine) as (client, _):
        answer = await client.post("/login", data={"token": await token(engine, "root"), "next": away}, headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_wrong_token_is_said_on_the_page_and_trying_is_slowed_down(engine):
    async with asking(engine) as (client, _):
        with capture_logs() as logged:
            for _ in range(12):
                answer = await client.post("/login", data={"token": "loom_secret_guess"}, headers=OWN)
                assert ("This is no token" in answer.text) is (answer.status_code == 401)
        told = [line for line in logged if "sign in with what is no token" in line["event"]]
        assert (len(told), "loom_secret_guess" in str(logged)) == (10, False)
        assert {*told[0]} >= {"client", "log_level"}
        slowed = await client.post("/login", data={"token": await token(engine, "root")}, headers=OWN)
        assert (slowed.status_code, "set-cookie" in slowed.headers) == (429, False)
        assert int(slowed.headers["retry-after"]) > 0
        foreign = await client.post("/login", data={"token": "x"}, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403


async def test_the_answer_to_an_idempotency_key_is_for_its_user_alone(engine):
    async with asking(engine) as (client, _):
        now = dt.datetime.now(dt.UTC)
        async with engine.begin() as connection:
            await idempotency.take(connection, idempotency.Key("root", "k", "the hash of another request"), now)
        for user, status in (("root", 422), ("other", 404)):
            headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {await token(engine, user)}"}
            answer = await client.post(f"{PREFIX}/quarantine/r9/retry", headers=headers)
            assert answer.status_code == status, answer.text


def test_a_token_is_made_listed_and_revoked_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def loom(*arguments):
        with pytest.raises(SystemExit) as ended:
            command(arguments)(arguments)
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    secret = loom("token", "create", "ci", "--user", "robot", "--scope", "run").strip()
    assert re.fullmatch(r"loom_[\w-]{43}", secret)
    listed = loom("token", "list", "--format", "json")
    assert ("robot" in listed, secret in listed) == (True, False)
    loom("token", "revoke", "ci")
    audit = loom("audit", "--format", "json")
    assert ("revoke token" in audit, "create token" in audit, secret in audit) == (True, True, False)
