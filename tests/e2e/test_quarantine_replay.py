"""Tests records that were kept back, run again after what kept them back was mended."""

from __future__ import annotations

import asyncio

import pytest

from loom import Loom
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.errors import ConfigurationError
from loom_dev.waiting import within
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.projects import Project, ids, project, python, review_ids

RECORDS = 60
BROKEN = [f"r{number:06}" for number in (7, 21, 42)]
POOR = [f"r{number:06}" for number in range(RECORDS) if number % 5 == 0]

CODE = '''
"""Cannot read some reviews, and judges others poorly, until the file `mended` is there."""

from pathlib import Path

MENDED = Path(__file__).with_name("mended")


def judged(record):
    if record["id"] in {BROKEN} and not MENDED.exists():
        raise ValueError("cannot read " + record["id"])
    return {"score": int(record["stars"]) if not MENDED.exists() else 5}
'''.replace("{BROKEN}", repr(BROKEN))

GATED = {"evaluators": [{"type": "range", "field": "score", "min": 2, "threshold": 1.0}]}


def judging(folder, name: str, destination: str) -> Project:
    return project(
        folder, RECORDS, name=name, transform=python(), evaluate=GATED, code=CODE, destination=destination,
        extract={"batch_size": 10},
    )  # fmt: skip


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path, monkeypatch):
    """Provide a pipeline and the configuration it runs with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return (
            judging(tmp_path, "judging", "sqlite:///out.db?table=judged"),
            LoomConfig.load(tmp_path / "loom.yaml"),
            {},
        )
    cluster = request.getfixturevalue("cluster")
    made = judging(cluster.project / "judging", "judging", "${RESULTS}?table=replayed")
    return made, LoomConfig.load(cluster.project / "loom.yaml"), cluster.credentials


async def test_what_lets_them_pass_now_loads_them_once_and_resolves_the_originals(mode):
    made, config, environ = mode
    loom = Loom(config.file)
    async with open_session(config, cluster=config.distributed) as session:
        original = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        assert (original.records["quarantined"], original.records["rejected"]) == (len(BROKEN), len(POOR))
        assert_balanced(original.model_dump())
        assert ids(await made.loaded(environ)) == sorted(set(review_ids(RECORDS)) - {*BROKEN, *POOR})

        made.path("mended").touch()
        chosen = (BROKEN[0], POOR[0])
        some = (await ended(session, (await session.replay(original.run_id, chosen)).run_id)).report
        assert some.records["extracted"] == some.records["loaded"] == 2

        rest = (await ended(session, (await session.replay(original.run_id, None)).run_id)).report
        assert rest.records["extracted"] == rest.records["loaded"] == len(BROKEN) + len(POOR) - 2
        assert_balanced(rest.model_dump())

        kept = await _resolved(loom, original.run_id)

        with pytest.raises(ConfigurationError, match="Nothing is replayed: none of the records"):
            await session.replay(original.run_id, None)

    books = {**original.model_dump(), "records": _together(original, some, rest)}
    assert_complete(books, await made.loaded(environ), review_ids(RECORDS))
    assert {record["resolution_action"] for record in kept} == {"reprocessed"}
    assert all(record["resolved_at"] for record in kept)
    lineage = await loom.get_lineage("judging", rest.run_id)
    assert [(each["run_id"], each["replay_of"]) for each in lineage] == [(rest.run_id, original.run_id)]


async def test_what_still_fails_is_kept_again_and_stays_unresolved(mode):
    made, config, _ = mode
    loom = Loom(config.file)
    made.path("mended").unlink(missing_ok=True)
    async with open_session(config, cluster=config.distributed) as session:
        original = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        again = (await ended(session, (await session.replay(original.run_id, None)).run_id)).report

    assert again.records["extracted"] == len(BROKEN) + len(POOR)
    assert (again.records["loaded"], again.records["quarantined"], again.records["rejected"]) == (
        0,
        len(BROKEN),
        len(POOR),
    )
    first = await loom.get_quarantined_records(run_id=original.run_id, limit=RECORDS)
    second = await loom.get_quarantined_records(run_id=again.run_id, limit=RECORDS)
    assert [record["resolved"] for record in first] == [False] * (len(BROKEN) + len(POOR))
    assert sorted(record["record_id"] for record in first) == sorted(record["record_id"] for record in second)


async def _resolved(loom: Loom, run_id: str) -> list[dict]:
    """The run's kept records, once all are resolved: the quarantine learns of a replay's end by an event."""
    async with within(20):
        while True:
            kept = await loom.get_quarantined_records(run_id=run_id, limit=RECORDS)
            if all(record["resolved"] for record in kept):
                return kept
            await asyncio.sleep(0.05)


def _together(original, *replays) -> dict[str, int]:
    """Return the books of a run and its replays: what a replay loaded is no longer kept back."""
    records = dict(original.records)
    records["loaded"] += sum(replay.records["loaded"] for replay in replays)
    return {**records, "rejected": 0, "quarantined": 0}
