"""Counts what requests ask of the state database: each statement takes a tenth of a millisecond of CPU, and each
transaction that writes waits for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import event, insert, select

from loom_api.http.idempotency import KeptRequests
from loom_coordinator.db import idempotency
from loom_coordinator.db.idempotency import Answered, Key, Other, Taken, UnderWay
from loom_coordinator.db.tables.runs import pipelines
from support.api import RUN

API = "/api/v1"
_ROW = "FROM pipeline_runs LEFT OUTER JOIN run_totals"


@contextmanager
def statements(engine) -> Iterator[list[str]]:
    """Provide the statements that are carried out within the block."""
    found: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        found.append(" ".join(statement.split()))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def asked(engine, client, path) -> list[str]:
    """Return the statements of an answer that is not the first of its kind."""
    for _ in range(2):
        with statements(engine) as found:
            answer = await client.get(f"http://localhost{path}", follow_redirects=False)
        assert answer.status_code == 200, answer.text
    return found


@pytest.mark.parametrize("path", [f"{API}/runs/{RUN}", f"{API}/runs/{RUN}/metrics", f"/live/runs/{RUN}"])
async def test_an_answer_about_a_run_asks_for_its_row_once(engine, client, path):
    found = await asked(engine, client, path)
    assert sum(_ROW in each and "pipeline_runs.run_id = ?" in each for each in found) == 1


async def test_the_page_of_a_run_asks_for_its_row_once_and_for_that_of_the_run_before(engine, client):
    found = await asked(engine, client, f"/runs/{RUN}")
    assert sum(_ROW in each and "pipeline_runs.run_id = ?" in each for each in found) <= 2


async def test_the_list_of_pipelines_takes_as_many_statements_for_many_as_for_one(engine, client):
    few = await asked(engine, client, f"{API}/pipelines")
    async with engine.begin() as connection:
        row = dict((await connection.execute(select(pipelines))).mappings().first() or {})
        await connection.execute(insert(pipelines), [{**row, "name": f"another_{at}"} for at in range(5)])
    many = await asked(engine, client, f"{API}/pipelines")
    assert len((await client.get(f"http://localhost{API}/pipelines")).json()) > 5
    assert len(many) == len(few)


async def test_requests_with_a_key_that_come_at_the_same_time_are_taken_together(engine):
    commits = []
    event.listen(engine.sync_engine, "commit", commits.append)
    requests = KeptRequests(engine)
    keys = [Key("somebody", f"key {at}", "a hash") for at in range(20)]
    found = await asyncio.gather(*(requests.take(key) for key in [*keys, *keys]))
    assert [type(each) for each in found] == [Taken] * 20 + [UnderWay] * 20
    answered = Answered(202, {}, "{}")
    await asyncio.gather(*(requests.settle(partial(idempotency.answer, key=key, answer=answered)) for key in keys))
    assert [await requests.take(key) for key in keys[:2]] == [answered] * 2
    assert await requests.take(replace(keys[0], request_hash="another hash")) == Other()
    assert len(commits) <= 8
