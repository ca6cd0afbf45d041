"""Runs streams whose steps make one record of all records of a window that have the same values: embedded and on a
cluster, over several windows, and killed in between."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from loom_common.errors import ConfigurationError
from loom_dev.waiting import within
from support.books import assert_balanced
from support.cluster import Cluster
from support.cluster_streams import named, stream_on
from support.command import Command
from support.command import loom as loom_at
from support.projects import Project, ai
from support.streamed import arrive, opened, stream_of, streaming, windows

BY_KIND = {"name": "by_kind", "type": "group", "by": "kind", "fields": {"records": "count", "ids": {"list": "id"}}}


def grouped(folder, *more) -> Project:
    return streaming(folder, transform={"steps": [BY_KIND, *more]})


def rows(made: Project) -> list[dict[str, object]]:
    """Return the rows at the destination; none where it is not there yet."""
    if not made.path("out.db").exists():
        return []
    with closing(sqlite3.connect(made.path("out.db"), timeout=10)) as database:
        database.row_factory = sqlite3.Row
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 't'").fetchone():
            return []
        return [dict(each) for each in database.execute("SELECT * FROM t")]


def ids_of(found) -> list[str]:
    listed = [json.loads(row["ids"]) if isinstance(row["ids"], str) else row["ids"] for row in found]
    return sorted(each for ids in listed for each in ids)


async def test_each_window_makes_a_record_of_each_group_of_its_own(tmp_path):
    made = grouped(tmp_path)
    async with opened(made) as following:
        for at in range(3):
            arrive(made, f"a{at}", range(at * 10, at * 10 + 6), kind="lamp")
            arrive(made, f"b{at}", range(at * 10 + 6, at * 10 + 10), kind="bulb")
            await following.closed(at + 1)
        arrive(made, "rest", range(30, 33), kind="lamp")
        await following.drained()
    for report in following.reports:
        assert_balanced(report.model_dump(mode="json"))
    ended = sorted((each.window.number, each.records["grouped"], each.records["loaded"]) for each in following.reports)
    assert ended[:4] == [(1, 10, 2), (2, 10, 2), (3, 10, 2), (4, 3, 1)]
    assert Counter((row["kind"], row["records"]) for row in rows(made)) == {
        ("lamp", 6): 3, ("bulb", 4): 3, ("lamp", 3): 1,
    }  # fmt: skip
    assert ids_of(rows(made)) == [f"t{at:05}" for at in range(33)]


async def test_a_stream_killed_as_its_groups_are_worked_on_makes_each_once_and_repays_nothing(tmp_path, model):
    ask = {"name": "ask", "needs": "by_kind", **ai(model.base_url, prompt="Of {{ input.kind }}: {{ input.ids }}")}
    made = grouped(tmp_path, ask)
    model.hold_after(3)
    command = await Command.begin(tmp_path, "run", "pipeline.yaml")
    for at in range(3):
        arrive(made, f"w{at}", range(at * 10, at * 10 + 10), kind=f"kind {at}")
    for at in range(3, 6):  # so many windows are at work while the fourth waits for its answer
        arrive(made, f"w{at}", range(at * 10, at * 10 + 10), kind=f"kind {at}")
    assert await command.reach(lambda: model.calls > 3)
    await command.kill()
    model.let_go()
    again = await Command.begin(tmp_path, "run", "pipeline.yaml")
    assert await again.reach(lambda: sum(number for *_, number in windows(made)) == 60)
    assert (await loom_at(tmp_path, "drain", stream_of(made))).code == 0
    assert (await again.end()).code == 0
    assert ids_of(rows(made)) == [f"t{at:05}" for at in range(60)]
    assert len(rows(made)) == len(model.asked) >= 6
    assert model.calls <= len(model.asked) + 3  # what was in flight when it was killed


async def test_records_of_a_window_are_resolved_once_it_is_closed(tmp_path):
    same = {"name": "same", "type": "resolve", "block": "kind", "compare": "kind",
            "fields": {"records": "count", "ids": {"list": "id"}}}  # fmt: skip
    made = streaming(tmp_path, transform={"steps": [same]})
    async with opened(made) as following:
        arrive(made, "a", range(7), kind="lamp")
        arrive(made, "b", range(7, 10), kind="bulb")
        await following.closed(1)
        arrive(made, "c", range(10, 12), kind="lamp")
        await following.drained()
    found = sorted((row["kind"], row["same_id"], row["records"]) for row in rows(made))
    assert found == [("bulb", "t00007", 3), ("lamp", "t00000", 7), ("lamp", "t00010", 2)]


async def test_a_cluster_whose_services_are_killed_groups_each_window_whole(cluster: Cluster):
    steps = {"steps": [{**BY_KIND, "by": "stars"}]}
    async with stream_on(cluster, named("grouped_windows"), transform=steps) as stream:

        async def loaded():
            there = await cluster.rows("SELECT to_regclass($1) IS NOT NULL AS there", stream.name)
            return await cluster.rows(f"SELECT * FROM {stream.name}") if there[0]["there"] else []

        for service in ("extractor", "transformer"):
            before = len(await loaded())
            await stream.arrive(30)
            async with within(60):
                while len(await loaded()) == before:
                    await asyncio.sleep(0.05)
            cluster.kill(service)
            await cluster.serve()
        await stream.arrive(5)
        stream.made.say(version="2.0.0")
        with pytest.raises(ConfigurationError, match="two versions would each have a part of them"):
            await stream.opened(canary=0.5)
        async with within(60):  # the last window closes when the stream is drained
            while sum(row["records"] for row in await loaded()) < stream.arrived - 5:
                await asyncio.sleep(0.05)
        await stream.session.drain(stream.following.stream)
        async with within(60):
            await stream.following.ended.wait()
        found = await loaded()
        ended = [row["records"] for row in await stream.windows() if row["records"]]
    assert ids_of(found) == [f"r{at:06}" for at in range(stream.arrived)]
    assert sorted(row["records"] for row in found) == sorted(ended)
