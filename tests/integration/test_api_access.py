"""Asks the API and the console, in this process, with tokens: every address, and who may ask what of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import shutil
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.datastructures import Headers
from structlog.testing import capture_logs

from loom.cli.root_command import command
from loom_api import access
from loom_api.http import guard
from loom_api.http.answers import PREFIX
from loom_api.reads import MASKED, Reads
from loom_api.settings import ApiSettings
from loom_common.errors import ConfigurationError
from loom_coordinator.db import audit_log, idempotency
from loom_coordinator.db.sign_in import tokens
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from support.api import RUN, application, fill_file

OWN = {"Origin": "https://loom.example"}
POLICIES = [
    {"user_pattern": "reader", "resource_pattern": "(runs|quarantine|costs)/p", "actions": ["read"], "allow": True},
    {"user_pattern": "reader", "resource_pattern": "(alerts|pipelines)/p", "actions": ["read"], "allow": True},
    {"user_pattern": "other", "resource_pattern": ".*/q", "actions": ["*"], "allow": True},
    {"user_pattern": "root", "resource_pattern": ".*", "actions": ["*"], "allow": True},
]  # fmt: skip
IN_SCOPE_ALONE = re.compile(r"\brun_[123]\b|\bname: p\b|>p<|\"p\"")
"""Finds what names the runs and the pipeline of the state file, which the user `other` may not see."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a state file with all that the API shows. Tests work on copies."""
    path = tmp_path_factory.mktemp("state") / "loom.db"
    asyncio.run(fill_file(path))
    return path


@pytest.fixture
async def engine(filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = open_engine(f"sqlite:///{shutil.copy(filled, tmp_path)}")
    yield engine
    await engine.dispose()


async def token(engine, user, scopes=("*",), days=1.0, name=None):
    now = dt.datetime.now(dt.UTC)
    async with engine.begin() as connection:
        return await tokens.create(connection, name or user, user, scopes, "tests", now, days)


@asynccontextmanager
async def asking(engine, secret=None, policies=POLICIES, **settings):
    api = application(engine, policies=policies, requests_per_minute=0, **settings)
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with within(30), httpx.AsyncClient(transport=transport, base_url="https://loom.example") as client:
        client.headers.update(headers)
        yield client, api


def addresses(api):
    """Return the method and the path of every address of the application, with names of what there is."""
    named = {
        "run_id": RUN,
        "name": "p",
        "record_id": "r2",
        "alert_id": "1",
        "letter_id": "x",
        "version": "aaaa",
        "other": "bbbb",
    }
    named |= {"other": "run_2", "rescoring_id": "score_1", "version": "aaaa"}
    for each in access.addresses(api.routes, PREFIX):
        for method, needs in each.needs.items():
            yield method, "/static/console.css" if each.path == "/static" else each.path.format(**named), needs


async def test_no_address_but_those_to_sign_in_is_answered_without_a_token(engine):
    async with asking(engine) as (client, api):
        asked = 0
        for method, path, needs in addresses(api):
            answer = await client.request(method, path, headers=OWN)
            if needs.by is access.By.NOBODY:
                continue
            asked += 1
            if path.startswith(PREFIX) or method == "POST":
                assert answer.status_code == 401, path
                assert not path.startswith(PREFIX) or answer.headers["www-authenticate"] == "Bearer"
            else:
                assert (answer.status_code, answer.headers["location"][:12]) == (303, "/login?next="), path
    assert asked > 60


async def test_whoever_may_see_another_pipeline_alone_sees_nothing_of_this_one(engine):
    secret = await token(engine, "other")
    async with asking(engine, secret) as (client, api):
        await signed_in(client, secret)
        seen = {}
        for method, path, needs in addresses(api):
            if path in ("/logout", "/login"):
                continue
            said = {"json": {}} if path.startswith(PREFIX) else {"data": {"record": f"{RUN}/r2"}}
            answer = await client.request(method, path, headers=OWN, **(said if method == "POST" else {}))
            seen[method, path] = answer.status_code
            named = IN_SCOPE_ALONE.findall(answer.text.replace(f"There is no run {RUN}", ""))
            assert not named or RUN in path, (method, path, answer.text)
            if needs.by not in (access.By.NOBODY, access.By.ANSWER, access.By.SIGNED_IN):
                assert answer.status_code in (403, 404), (method, path, answer.text)
            if "r2" in path or path == "/quarantine/retry":
                assert answer.status_code == 404, (method, path, answer.text)
        for path in ("/runs", "/quarantine", "/alerts", "/pipelines", "/manifest", "/quarantine-stats"):
            found = (await client.get(f"{PREFIX}{path}")).json()
            assert (found["items"] if isinstance(found, dict) else found) == [], path
        assert (await client.get(f"{PREFIX}/costs")).json()["spans"] == []
        assert not [key for key, status in seen.items() if status >= 500]


async def test_contents_of_records_and_commands_are_apart_from_reading(engine):
    async with asking(engine, await token(engine, "reader")) as (client, _):
        paths = (f"/runs/{RUN}", "/pipelines/p", f"/runs/{RUN}/records", f"/runs/{RUN}/records/r2", "/fleet")
        assert [(await client.get(f"{PREFIX}{path}")).status_code for path in paths] == [200, 200, 403, 403, 403]
        assert (await client.get(f"{PREFIX}/quarantine-stats")).json()[0]["records"] == 2
        denied = await client.post(f"{PREFIX}/runs/{RUN}/cancel")
        assert (denied.status_code, denied.json()["detail"]) == (
            403,
            "reader may not control runs/p, or the token is not for that.",
        )
        assert (await client.post(f"{PREFIX}/alerts/1/acknowledge")).status_code == 403
        assert (await client.get(f"{PREFIX}/audit")).status_code == 403
    async with engine.connect() as connection:
        lines = await audit_log.page(connection, "reader", 10)
    assert [(each.action, each.resource, each.outcome) for each in lines[:2]] == [
        ("read", "audit", "denied"),
        ("acknowledge", "alerts/p", "denied"),
    ]


async def test_records_that_were_kept_back_are_listed_without_contents_for_whoever_may_read_but_not_data(engine):
    async with asking(engine, await token(engine, "root")) as (client, _):
        whole = (await client.get(f"{PREFIX}/quarantine")).json()["items"]
    secret = await token(engine, "reader")
    async with asking(engine, secret) as (client, _):
        masked = (await client.get(f"{PREFIX}/quarantine")).json()["items"]
        hidden = {"record_data": {}, "failure_reason": MASKED, "error_details": None, "output": None}
        assert masked == [{**each, **hidden} for each in whole]
        assert [each["record_id"] for each in masked] == ["r3", "r2"]
        for words, found in ((whole[0]["code"], 2), (whole[0]["failure_reason"], 0), (MASKED, 0)):
            answer = await client.get(f"{PREFIX}/quarantine", params={"reason": words})
            assert len(answer.json()["items"]) == found, words
        assert (await client.get(f"{PREFIX}/quarantine/r2")).status_code == 404
        await signed_in(client, secret)
        page = await client.get("/quarantine")
        assert (page.status_code, "hidden: it may quote" in page.text, "r3" in page.text) == (200, True, True)
        contents = {str(value) for each in whole for value in each["record_data"].values() if len(str(value)) > 3}
        assert not [each for each in contents if each in page.text]


async def test_a_token_may_do_no_more_than_its_scopes(engine):
    async with asking(engine, await token(engine, "root", ["read"])) as (client, _):
        assert (await client.get(f"{PREFIX}/runs")).json()["items"] != []
        kept = (await client.get(f"{PREFIX}/quarantine")).json()["items"]
        assert {each["failure_reason"] for each in kept} == {MASKED}
        assert (await client.post(f"{PREFIX}/alerts/1/acknowledge")).status_code == 403


async def test_an_alert_is_acknowledged_by_the_user_of_the_token_and_that_is_noted(engine):
    async with asking(engine, await token(engine, "root")) as (client, _):
        answer = await client.post(f"{PREFIX}/alerts/1/acknowledge")
        assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, "root")
        [line, *_] = (await client.get(f"{PREFIX}/audit")).json()["items"]
        named = {name: line[name] for name in ("user", "token_name", "action", "resource", "outcome", "run_id")}
        assert named == {
            "user": "root", "token_name": "root", "action": "acknowledge", "resource": "alerts/p", "outcome": "done",
            "run_id": RUN,
        }  # fmt: skip


NO_ACKNOWLEDGING = [
    {"user_pattern": ".*", "resource_pattern": "alerts/p", "actions": ["acknowledge"], "allow": False},
    {"user_pattern": ".*", "resource_pattern": ".*", "actions": ["*"], "allow": True},
]


@pytest.mark.parametrize("number", ["1", "01", "%2B1", "%201", "1%20", "%0A1", "1.0", "%D9%A1", "1" * 19])
async def test_what_is_denied_stays_denied_however_a_number_is_written(engine, number):
    async with asking(engine, await token(engine, "mallory"), policies=NO_ACKNOWLEDGING) as (client, _):
        answer = await client.post(f"{PREFIX}/alerts/{number}/acknowledge")
        assert answer.status_code == (403 if number in ("1", "01") else 404), answer.text
        assert {each["acknowledged"] for each in (await client.get(f"{PREFIX}/alerts")).json()["items"]} == {
            True,
            False,
        }


async def test_what_cannot_be_decided_is_not_carried_out(engine, monkeypatch):
    async def broken(*_):
        raise ConfigurationError("The list of pipelines cannot be read.")

    async with asking(engine, await token(engine, "other")) as (client, _):
        monkeypatch.setattr(Reads, "pipeline", broken)
        for path in ("/pipelines/p/run", "/pipelines/p/records"):
            answer = await client.post(f"{PREFIX}{path}", json=[])
            assert (answer.status_code, answer.json()["detail"]) == (400, "The list of pipelines cannot be read.")


async def test_the_error_for_a_name_that_no_pipeline_has_tells_of_none_that_may_not_be_seen(engine, tmp_path):
    (tmp_path / "hidden.yaml").write_text("name: payroll\nextract: {source: a.csv}\nload: {destination: b.csv}\n")
    async with asking(engine, await token(engine, "other"), policies=STARTS) as (client, _):
        for path in ("run", "records"):
            answer = await client.post(f"{PREFIX}/pipelines/payrol/{path}", json=[] if path == "records" else None)
            assert (answer.status_code, "'payrol'" in answer.text, "payroll" in answer.text) == (404, True, False)


async def test_a_definition_is_not_read_for_whoever_may_not_enter_it_and_that_is_noted(engine, tmp_path):
    imported, code = tmp_path / "imported", "def f(record):\n    return record\n"
    (tmp_path / "marks_its_import.py").write_text(f"import pathlib\npathlib.Path({str(imported)!r}).touch()\n{code}")
    for number, named in enumerate(("name: theirs\n", "name: [theirs]\n", "")):
        definition = f"{named}extract: {{source: a.csv}}\ntransform: {{type: python, function: 'marks_its_import:f'}}\n"
        async with asking(engine, await token(engine, "other", name=f"token{number}")) as (client, _):
            answer = await client.post(f"{PREFIX}/pipelines", json={"definition": definition})
            assert (answer.status_code, "marks" in answer.text) == (403, False)
    assert not imported.exists()
    async with engine.connect() as connection:
        lines = await audit_log.page(connection, "other", 10)
    assert [(each.action, each.resource, each.outcome) for each in lines] == [
        ("register", "pipelines/", "denied"), ("register", "pipelines/", "denied"),
        ("register", "pipelines/theirs", "denied"),
    ]  # fmt: skip


async def test_a_replay_that_is_denied_is_noted(engine):
    async with asking(engine, await token(engine, "reader")) as (client, _):
        answer = await client.post(f"{PREFIX}/quarantine-retry", json={"run_id": RUN})
        assert (answer.status_code, answer.json()["detail"]) == (
            403,
            "reader may not replay quarantine/p, or the token is not for that.",
        )
    async with engine.connect() as connection:
        [line] = await audit_log.page(connection, "reader", 10)
    assert (line.action, line.resource, line.run_id) == ("replay", "quarantine/p", RUN)
    assert line.outcome == "denied"


STARTS = [{"user_pattern": "other", "resource_pattern": "pipelines/payrol", "actions": ["*"], "allow": True}]


@pytest.mark.parametrize(
    ("told", "client"), [(["9.9.9.9, 10.0.0.1"], "10.0.0.1"), (["9.9.9.9", "10.0.0.1"], "10.0.0.1"), ([], "127.0.0.1")]
)
def test_the_client_is_the_one_that_the_proxy_told_last_however_it_writes_that(told, client):
    headers = Headers(raw=[(b"x-forwarded-for", each.encode()) for each in told])
    scope = {"type": "http", "client": ("127.0.0.1", 5)}
    assert guard.client_of(scope, headers, ApiSettings(behind_proxy=True)) == client
    assert guard.client_of(scope, headers, ApiSettings()) == "127.0.0.1"


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


async def signed_in(client, secret):
    answer = await client.post("/login", data={"token": secret, "next": "/runs?status=failed"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?status=failed"), answer.text
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/"} <= set(cookie.split("; "))
    return cookie.partition(";")[0].partition("=")[2]


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


async def test_an_application_with_an_address_that_is_not_listed_does_not_start(engine, monkeypatch):
    monkeypatch.setattr(access, "needed", lambda *_: None)
    with pytest.raises(AssertionError, match=r"loom_api/access.py does not say what .* needs"):
        application(engine)


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
