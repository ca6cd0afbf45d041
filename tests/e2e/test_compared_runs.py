"""Tests two runs compared on the records that both have."""

from __future__ import annotations

import pytest

from loom import Loom
from loom.comparing.diff import diff
from loom.comparing.outputs import differing
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.errors import ConfigurationError, NotFound
from support.clients import ended, request_of
from support.projects import ai, project, python, reviews, write_csv

RECORDS = 40
CODE = """
def judged(record):
    return {"score": int(record["stars"]), "kind": "plain"}


def kinder(record):
    return {"score": min(5, int(record["stars"]) + 1), "kind": "plain"}
"""
STARS = {"type": "range", "name": "stars", "field": "score", "min": 3, "threshold": 1.0}


async def run(made, config: LoomConfig):
    async with open_session(config, cluster=False) as session:
        return (await ended(session, (await session.start(request_of(made, config))).run_id)).report


async def test_outputs_verdicts_and_scores_are_compared_record_by_record(tmp_path, config):
    made = project(tmp_path, RECORDS, transform=python(), evaluate={"evaluators": [STARS]}, code=CODE)
    first = await run(made, config)
    write_csv(made.path("reviews.csv"), [*reviews(RECORDS), {"id": "new", "review": "x", "stars": "5"}])
    made.say(transform=python("transforms:kinder"))
    second = await run(made, config)

    found = await diff(config, first.run_id, second.run_id, limit=3)

    counts = {name: found.outputs[name] for name in ("both", "different", "only_before", "only_after")}
    assert counts == {"both": RECORDS, "different": 32, "only_before": 0, "only_after": 1}
    assert found.outputs["fields"] == {"score": 32}
    assert len(found.outputs["changed"]) == 3
    assert found.outputs["changed"][0]["before"].keys() == {"score"}
    assert found.verdicts is not None
    assert found.verdicts.as_json() == {
        "both_pass": 24, "pass_now": 8, "fail_now": 0, "neither": 8, "p_value": 2 / 2**8,
    }  # fmt: skip
    (stars,) = found.evaluators
    assert (stars.records, stars.better, stars.worse) == (RECORDS, 8, 0)
    assert (stars.mean_before, stars.mean_after) == (0.6, 0.8)
    assert stars.p_value == 2 / 2**8
    assert [(each.passed_before, each.passed_after) for each in found.changed] == [(False, True)] * 3
    assert (await Loom(config.file).diff(first.run_id, second.run_id, limit=3)).as_json() == found.as_json()


async def test_answers_are_compared_without_asking_for_one(tmp_path, config, model):
    made = project(tmp_path, 12, transform=ai(model.base_url))
    first = await run(made, config)
    made.say(transform=ai(model.base_url, prompt="Another question about {{ input.review }}"))
    second = await run(made, config)
    calls = model.calls
    found = await diff(config, first.run_id, second.run_id)
    assert model.calls == calls
    assert found.outputs["both"] == 12
    assert 0 < found.outputs["different"] == len(found.outputs["changed"])
    assert found.verdicts is None
    assert found.before.cost > 0
    same = await diff(config, first.run_id, first.run_id)
    assert (same.outputs["equal"], same.outputs["fields"]) == (12, {})


async def test_runs_that_cannot_be_compared_are_told_in_a_sentence(tmp_path, config):
    made = project(tmp_path, 10, transform=python(), evaluate={"evaluators": [STARS]}, code=CODE)
    report = await run(made, config)
    with pytest.raises(NotFound, match="There is no run run_none"):
        await diff(config, report.run_id, "run_none")
    async with open_session(config, cluster=False) as session:
        replay = (await ended(session, (await session.replay(report.run_id, None)).run_id)).report
    with pytest.raises(ConfigurationError, match="has no source of its own"):
        await diff(config, report.run_id, replay.run_id)


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [({"a": 1}, {"a": 1}, []), ({"a": 1}, {"a": 1.5, "b": None}, ["a", "b"]), ({"a": None}, {}, ["a"])],
)
def test_a_field_differs_that_is_another_or_stands_on_one_side(before, after, names):
    assert differing(before, after) == names
