"""Tests pipelines from one REST API to another: embedded, killed and resumed, and on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from support.clients import ended, request_of
from support.command import Command, runs
from support.command import loom as command
from support.projects import PASSTHROUGH, project
from support.rest_server import TOKEN, Api, serving

RECORDS = 60
WANTED = [{"id": f"o{number:03}", "paid": number, "at": number} for number in range(RECORDS)]
ENVIRON = {"API_TOKEN": TOKEN}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api(list(WANTED), size=7)) as made:
        made.auth = "bearer"
        yield made


def orders(folder, api, name="orders", load=None, secret="${API_TOKEN}", **sections):
    """Make a pipeline from one list of the server to another."""
    auth = {"type": "bearer", "token": secret}
    extract = {
        "key": "id",
        "batch_size": 5,
        "options": {"auth": auth, "pagination": "link"},
        **sections.pop("extract", {}),
    }
    made = project(
        folder, 0, name=name, source=f"{api.location}/link", destination=f"{api.location}/sink", transform=PASSTHROUGH,
        extract=extract, load={"mode": "append", "options": {"auth": auth, **(load or {})}}, **sections,
    )  # fmt: skip
    (folder / "loom.yaml").touch()
    return made


def by_id(rows):
    return sorted(rows, key=lambda row: row["id"])


async def test_records_of_one_api_are_sent_to_another(api, tmp_path, clean_environ):
    made = orders(tmp_path, api, load={"batch": 3})
    api.refuse = lambda row: f"no {TOKEN}" if row["id"] == "o007" else None
    checked = await command(tmp_path, "validate", str(made.pipeline), "--connect", environ=ENVIRON)
    assert checked.code == 0, checked.words
    assert "exactly once where the server knows a request by its idempotency key" in checked.out
    assert "API_TOKEN" in checked.out
    done = await command(tmp_path, "run", str(made.pipeline), "--format", "json", environ=ENVIRON)
    assert done.code == 0, done.words
    assert (done.report["records"]["loaded"], done.report["records"]["quarantined"]) == (RECORDS - 1, 1)
    assert by_id(api.rows) == [row for row in WANTED if row["id"] != "o007"]
    assert "the server answered 422: no ***" in str(done.report["reasons"])
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in stored + done.out.encode() + done.err.encode()


async def test_a_missing_credential_is_told_before_a_run(api, tmp_path, clean_environ):
    made = orders(tmp_path, api)
    checked = await command(tmp_path, "validate", str(made.pipeline))
    assert checked.code == 2
    assert "The credential ${API_TOKEN} is not set" in checked.out + checked.err
    assert api.asked == []


async def test_a_trial_sends_nothing(api, tmp_path, clean_environ):
    made = orders(tmp_path, api)
    done = await command(tmp_path, "run", str(made.pipeline), "--sample", "9", "--format", "json", environ=ENVIRON)
    assert done.code == 0, done.words
    assert {method for method, _, _ in api.asked} == {"GET"}
    assert (tmp_path / "rest.sample.jsonl").read_text().count("\n") == 9


async def test_a_later_run_asks_for_what_is_new(api, tmp_path, clean_environ):
    options = {"auth": {"type": "bearer", "token": "${API_TOKEN}"}, "pagination": "link", "start_param": "since"}
    made = orders(tmp_path, api, extract={"incremental": "at", "options": options})
    days = [{"id": f"o{day}", "at": f"2026-03-0{day}T00:00:00Z"} for day in range(1, 8)]
    api.records = days[:5]
    for count in (5, 7):
        api.asked.clear()
        done = await command(tmp_path, "run", str(made.pipeline), "--format", "json", environ=ENVIRON)
        assert done.code == 0, done.words
        assert len(api.rows) == count
        api.records = days
    assert [path for method, path, _ in api.asked if method == "GET"][-1] == "/link?since=2026-03-05T00%3A00%3A00Z"


@pytest.mark.parametrize("at", [2, 12, 40])
async def test_a_run_that_is_killed_goes_on_where_it_was(api, tmp_path, clean_environ, at):
    """The server has the records of requests that were in flight, and nobody was told."""
    made = orders(tmp_path, api)
    api.slow_after = at
    running = await Command.begin(tmp_path, "run", str(made.pipeline), environ=ENVIRON)
    assert await running.reach(lambda: len(api.asked) > at)
    await running.kill()
    api.slow_after = None
    resumed = await command(tmp_path, "resume", runs(tmp_path)[-1], "--format", "json", environ=ENVIRON)
    assert resumed.code == 0, resumed.words
    assert resumed.report["records"]["loaded"] == RECORDS
    assert by_id(api.rows) == WANTED
    assert len(api.keys) == RECORDS


async def test_services_send_each_record_once_though_a_loader_is_killed(cluster, api):
    secret = cluster.project / "rest_token"
    secret.write_text(TOKEN)
    made = orders(cluster.project / "rest_orders", api, name="rest_orders", secret=f"${{file:{secret}}}")
    config = LoomConfig.load(cluster.project / "loom.yaml")
    api.slow_after = 20
    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        await asyncio.to_thread(api.reached, 21)
        cluster.kill("loader")
        api.slow_after = None
        await cluster.serve()
        report = (await ended(session, accepted.run_id)).report
    assert (report.status, report.records["loaded"]) == ("succeeded", RECORDS)
    assert by_id(api.rows) == WANTED
    assert len(api.keys) == RECORDS
