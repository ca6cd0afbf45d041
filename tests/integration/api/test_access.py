"""Asks the API and the console, in this process, with tokens: every address, and who may ask what of it."""

from __future__ import annotations

import re

import pytest
from starlette.datastructures import Headers

from loom_api import access
from loom_api.http import guard
from loom_api.http.answers import PREFIX
from loom_api.reads import MASKED, Reads
from loom_api.settings import ApiSettings
from loom_common.errors import ConfigurationError
from loom_coordinator.db import audit_log
from support.api import RUN, application
from support.policed import OWN, asking, signed_in, token

IN_SCOPE_ALONE = re.compile(r"\brun_[123]\b|\bname: p\b|>p<|\"p\"")
"""Finds what names the runs and the pipeline of the state file, which the user `other` may not see."""


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


async def test_an_application_with_an_address_that_is_not_listed_does_not_start(engine, monkeypatch):
    monkeypatch.setattr(access, "needed", lambda *_: None)
    with pytest.raises(AssertionError, match=r"loom_api/access.py does not say what .* needs"):
        application(engine)
