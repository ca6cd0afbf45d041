"""Tests that the rule of a version on trial decides on a cluster, where its runs are read, judged and loaded by several
services."""

from __future__ import annotations

import json
from typing import Any

from support.cluster_streams import ClusterStream, ids_in, named, stream_on
from support.projects import review_ids

CODE = "def fails(record):\n    assert int(record['id'][1:]) % 3, 'no'\n    return record\n"
RULE = {"share": "50%", "windows": 2, "records": 5}


async def decided(stream: ClusterStream) -> dict[str, Any] | None:
    """Return what the rule has decided; None as long as it has not."""
    (row,) = await stream.cluster.rows("SELECT decided FROM streams WHERE stream_id = $1", stream.following.stream)
    return None if row["decided"] is None else json.loads(row["decided"])


async def arrive_until_decided(stream: ClusterStream) -> dict[str, Any]:
    """Let records arrive, a window's worth each time, until the rule has decided, and return what it has."""
    for _ in range(40):
        before = len(stream.following.reports)
        await stream.arrive(20)
        await stream.until_told(before + 1)
        if (found := await decided(stream)) is not None:
            return found
    raise AssertionError("nothing was decided")


async def alerts(stream: ClusterStream) -> list[tuple[str, str]]:
    found = await stream.cluster.rows(
        "SELECT alert_type, message FROM monitoring_alerts JOIN pipeline_runs USING (run_id) WHERE stream = $1",
        stream.following.stream,
    )
    return [(row["alert_type"], row["message"]) for row in found]


async def test_a_version_that_is_no_worse_is_promoted_by_its_rule(cluster):
    async with stream_on(cluster, named("promoted"), version="1.0.0") as stream:
        await stream.arrive(20)
        await stream.until_loaded(20)
        stream.made.say(version="2.0.0", canary=RULE)
        assert (await stream.opened()).canary == 0.5  # the file asks for its share itself
        assert (await arrive_until_decided(stream))["decision"] == "promote"
        await stream.until_version("2.0.0")
        await stream.arrive(10)
        await stream.drained()
        shares = {row["version"]: row["records"] for row in await stream.windows()}
        told = await alerts(stream)
    assert shares.keys() == {"1.0.0", "2.0.0"}
    assert [kind for kind, _ in told] == ["canary_promoted"]
    assert told[0][1].startswith("version 2.0.0 takes all records from the next window on: it is no worse over ")


async def test_a_version_that_keeps_more_back_is_rolled_back_by_its_rule_and_gets_nothing_again(cluster):
    name = named("rolled_back")
    async with stream_on(cluster, name, version="1.0.0") as stream:
        await stream.arrive(20)
        await stream.until_loaded(20)
        for folder in (cluster.project, stream.made.folder):  # where services read it, and where it is validated
            (folder / f"{name}.py").write_text(CODE)
        stream.made.say(version="2.0.0", transform={"type": "python", "function": f"{name}:fails"}, canary=RULE)
        await stream.opened()
        assert (await arrive_until_decided(stream))["decision"] == "roll_back"
        assert (await stream.opened()).canary is None  # the same file does not begin it again
        await stream.until_version("1.0.0")
        after = stream.arrived
        await stream.arrive(10)
        await stream.ended()
        loaded = await ids_in(cluster, stream.name)
        kept = [row["record_id"] for row in await stream.kept_back()]
        told = await alerts(stream)
    assert sorted([*loaded, *kept]) == review_ids(stream.arrived)
    assert loaded[-10:] == review_ids(stream.arrived)[after:]
    assert kept
    assert [each for each in kept if int(each[1:]) % 3] == []
    assert [kind for kind, _ in told] == ["canary_rolled_back"]
    assert told[0][1].startswith("version 2.0.0 gets no more records, and version 1.0.0 takes all: it keeps back ")
