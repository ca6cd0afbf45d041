"""A second way in passes the same checks: a replay with edits loads nothing that a source would not give."""

from __future__ import annotations

import asyncio
import json

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom.views import open_views
from loom_common.domain.run.replaying import Changes
from loom_dev.waiting import within
from loom_quarantine.queries import RecordFilter
from support.clients import ended, request_of
from support.projects import project

LINES = [
    b"id,review,stars",
    b"1,good,5",
    b"2,caf\xe9,4",
    b"3,a,2,b",
    b"4,short",
    b",no key,1",
    b"1,twice,3",
]


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path):
    """Provide a pipeline over records that a source keeps back, and the configuration it runs with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        folder, config, environ = tmp_path, LoomConfig.load(tmp_path / "loom.yaml"), {}
        destination = "sqlite:///out.db?table=mended"
    else:
        cluster = request.getfixturevalue("cluster")
        folder, environ = cluster.project / f"mended_{tmp_path.name}", cluster.credentials
        config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
        destination = f"${{RESULTS}}?table=mended_{tmp_path.name}"
    made = project(folder, [], destination=destination, load={"mode": "append"})
    made.path("reviews.csv").write_bytes(b"\n".join(LINES) + b"\n")
    return made, config, environ


async def test_what_a_source_keeps_back_is_loaded_only_when_it_is_mended(mode):
    made, config, environ = mode
    async with open_session(config, cluster=config.distributed) as session:
        first = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        assert (first.records["loaded"], first.records["quarantined"]) == (1, 5)
        kept = {row["error_details"]["line"]: row["record_id"] for row in await _kept(config, first.run_id)
                if "line" in row["error_details"]}  # fmt: skip
        others = {row["code"]: row["record_id"] for row in await _kept(config, first.run_id)}

        async def edited(record_id, **edits):
            replay = await session.replay(first.run_id, (record_id,), Changes(edits=edits))
            return (await ended(session, replay.run_id)).report.records

        for record_id, edits in (
            (kept[3], {"stars": "1"}),  # its undecoded field is not edited
            (kept[4], {"review": "a,b"}),  # its surplus field is left
            (kept[5], {"review": "longer"}),  # a column is still missing
            (others["missing_key"], {"review": "x"}),
            (others["duplicate_key"], {"review": "x"}),
            (others["missing_key"], {"id": "1"}),  # another record of the source has that key
        ):
            records = await edited(record_id, **edits)
            assert (records["loaded"], records["quarantined"]) == (0, 1), (record_id, edits)
        for record_id, edits in (
            (kept[3], {"review": "café"}),
            (kept[4], {"review": "a,b", "_surplus": ""}),
            (kept[5], {"stars": "3"}),
            (others["missing_key"], {"id": "6"}),
            (others["duplicate_key"], {"id": "7"}),
        ):
            assert (await edited(record_id, **edits))["loaded"] == 1, (record_id, edits)
    rows = {str(row["id"]): row["review"] for row in await made.loaded(environ)}
    assert rows == {"1": "good", "2": "café", "3": "a,b", "4": "short", "6": "no key", "7": "twice"}
    assert len(await made.loaded(environ)) == 6


async def _kept(config, run_id):
    async with within(20), open_views(config) as views:
        while len(rows := [row.as_json() async for row in views.quarantined_whole(RecordFilter(run_id=run_id))]) < 5:
            await asyncio.sleep(0.05)
        return rows


def test_one_key_for_several_records_is_refused_but_for_the_first(loom, tmp_path):
    made = project(tmp_path, [{"id": "", "review": str(n), "stars": "1"} for n in range(3)], destination="out.jsonl")
    run_id = loom("run", str(made.pipeline), "--format", "json").report["run_id"]
    report = loom("quarantine", "retry", run_id, "--edit", "id=9", "--format", "json").report
    assert (report["records"]["loaded"], report["records"]["quarantined"]) == (1, 2)
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ["9"]
