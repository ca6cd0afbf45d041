"""Tests quality checks in whole runs, embedded and on a cluster."""

from __future__ import annotations

import json
import re

import pytest

from loom import Loom
from loom.project.config import LoomConfig
from loom.session import open_session
from support.books import assert_balanced
from support.clients import ended, request_of
from support.projects import Project, ids, project

CODE = """
def polite(text):
    if "raise" in text:
        raise ValueError("no")
    return ("please" in text, "it is not polite")
"""
CHECKS = [
    {"column": "id", "check": "regex", "pattern": "^r"},
    {"column": "review", "check": "unique"},
    {"column": "stars", "check": "range", "min_value": 1, "max_value": 5, "action": "warn"},
    {"column": "stars", "check": "reference", "source": "stars.jsonl", "field": "code"},
    {"column": "review", "check": "custom", "function": "transforms:polite", "action": "dlq"},
    {"check": "row_count", "min": 20},
]
RECORDS = [
    {"id": f"r{number:06}", "review": f"please {number % 25}", "stars": str(number % 4 + 1)} for number in range(28)
]
"""Three of these have a review that an earlier one has, in another slice."""
BAD = [
    {"id": "x1", "review": "please x", "stars": "1"},
    {"id": "r2", "review": "raise this", "stars": "1"},
    {"id": "r3", "review": "please r3", "stars": "9"},
    {"id": "r4", "review": "rude", "stars": "2"},
]


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path):
    """Provide a folder, a destination, the configuration and the credentials, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return tmp_path, "sqlite:///out.db?table=checked", LoomConfig.load(tmp_path / "loom.yaml"), {}
    cluster = request.getfixturevalue("cluster")
    folder = cluster.project / "quality"
    return folder, "${RESULTS}?table=checked", LoomConfig.load(cluster.project / "loom.yaml"), cluster.credentials


def checked(folder, destination, rows, checks, **load) -> Project:
    extract = {"batch_size": 2, "quality_checks": checks, "max_failure_rate": None}
    made = project(
        folder, rows, name="checked", extract=extract, code=CODE, destination=destination, load=load
    )  # fmt: skip
    made.path("stars.jsonl").write_text("".join(json.dumps({"code": code}) + "\n" for code in (1, 2, 3, 4)))
    return made


async def test_records_that_miss_a_check_are_kept_back_counted_and_replayed_through_the_same_checks(mode):
    folder, destination, config, environ = mode
    made = checked(folder, destination, [*RECORDS, *BAD], CHECKS)
    async with open_session(config, cluster=config.distributed) as session:
        original = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        assert (original.status, original.error) == ("succeeded", None)
        assert_balanced(original.model_dump())
        assert ids(await made.loaded(environ)) == [each["id"] for each in RECORDS[:25]]
        found = {each.name: (each.seen, each.missed, each.outcome) for each in original.checks}
        assert found == {
            "id_regex": (32, 1, "quarantined"),
            "review_unique": (32, 3, "quarantined"),
            "stars_range": (32, 1, "warned"),
            "stars_reference": (32, 1, "quarantined"),
            "review_polite": (32, 2, "quarantined"),
            "row_count": (32, 0, "passed"),
        }

        kept = await Loom(config.file).get_quarantined_records(run_id=original.run_id, limit=50)
        details = {each["record_id"]: each["error_details"] for each in kept}
        assert details["r000025"] | {"reason": ""} == {
            "check": "review_unique", "field": "review", "value": "'please 0'", "reason": "", "first": "r000000",
        }  # fmt: skip
        assert details["r2"]["reason"] == "the function raised ValueError: no"

        again = (await ended(session, (await session.replay(original.run_id, ("r000025", "r4"))).run_id)).report
        assert (again.records["extracted"], again.records["quarantined"]) == (2, 2)

        made.path("stars.jsonl").write_text('{"code": 9}\n')
        mended = (await ended(session, (await session.replay(original.run_id, ("r3",))).run_id)).report
        assert (mended.records["loaded"], mended.records["quarantined"]) == (1, 0)
    assert "r3" in ids(await made.loaded(environ))


async def test_a_check_that_tolerates_nothing_fails_the_run_before_a_record_of_the_slice_goes_on(mode):
    folder, destination, config, environ = mode
    checks = [{"column": "stars", "check": "range", "max_value": 5, "action": "fail"}]
    made = checked(folder, destination, BAD, checks)
    before = await made.loaded(environ)
    async with open_session(config, cluster=config.distributed) as session:
        report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert report.status == "failed"
    assert "Record r3: 'stars' misses the check 'stars_range': it is greater than 5 (it is '9')" in report.error
    assert [each.outcome for each in report.checks] == ["failed"]
    assert await made.loaded(environ) == before


async def test_a_share_is_judged_over_the_whole_run_before_anything_is_replaced(mode):
    folder, destination, config, environ = mode
    checks = [{"column": "stars", "check": "range", "max_value": 5, "max_share": 0.2}]
    on_rows = [{"column": "review", "check": "not_null"}, {"check": "row_count", "max": 2, "action": "warn"}]
    made = checked(folder, destination, BAD, checks, quality_checks=on_rows, mode="replace")
    before = await made.loaded(environ)
    async with open_session(config, cluster=config.distributed) as session:
        report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert report.status == "failed"
    assert "1 of 4 records miss it (25.00%, at most 20.00% may)" in report.error
    assert await made.loaded(environ) == before


def test_validate_places_what_a_check_names_and_is_not_there(tmp_path, loom):
    checks = [{"column": "revue", "check": "not_null"}, {"check": "custom", "function": "transforms:polit"}]
    made = project(tmp_path, 3, extract={"quality_checks": checks}, code=CODE)
    made.say(load={"destination": "out.csv", "quality_checks": [{"column": "moods", "check": "unique"}]})
    ended = loom("validate", "pipeline.yaml")
    assert ended.code == 2
    told = ended.words + " ".join(ended.err.split())
    for place, name in [
        ("extract.quality_checks[0].column", "'revue'"),
        ("extract.quality_checks[1].function", "'transforms:polit'"),
        ("load.quality_checks[0].column", "'moods'"),
    ]:
        assert re.search(rf"pipeline.yaml:\d+:\d+: {re.escape(place)}: found {name}", told), told
