"""Tests the versions of prompts, and another prompt tried on records of a run."""

from __future__ import annotations

import pytest

from loom import Loom
from loom.project.config import LoomConfig
from loom.rescoring.prompt_trial import try_prompt
from loom.session import open_session
from loom.views import open_views
from loom_common.errors import ConfigurationError, InvalidDefinition, NotFound
from support.clients import ended, request_of
from support.projects import Project, ai, project

RECORDS = 20
SURE = {"type": "range", "name": "sure", "field": "confidence", "min": 0.5, "threshold": 1.0}
OTHER = "Is it good? {{ input.review }}"


@pytest.fixture
def made(tmp_path, model) -> Project:
    return project(tmp_path, RECORDS, transform=ai(model.base_url), evaluate={"evaluators": [SURE]})


async def run(made: Project, config: LoomConfig):
    async with open_session(config, cluster=False) as session:
        return (await ended(session, (await session.start(request_of(made, config))).run_id)).report


async def test_versions_are_listed_with_their_runs_and_found_by_their_beginning(made, config, model):
    first, second = await run(made, config), await run(made, config)
    made.say(transform=ai(model.base_url, prompt=OTHER, prompt_version="better"))
    third = await run(made, config)
    async with open_views(config) as views:
        newest, oldest = await views.prompts("reviews")
        assert (newest.version, newest.runs, newest.last_run) == ("better", 1, third.run_id)
        assert (oldest.runs, oldest.last_run, oldest.pipeline) == (2, second.run_id, "reviews")
        assert (await views.prompt("reviews", None)).content == OTHER
        assert await views.prompt("reviews", oldest.version[:6]) == oldest
        assert await views.prompts("another") == []
        with pytest.raises(NotFound, match=r"There is no version zz .* There are: better, "):
            await views.prompt("reviews", "zz")
        with pytest.raises(NotFound, match="No prompt of 'another' is known here"):
            await views.prompt("another", None)
    assert first.status == "succeeded"


async def test_a_prompt_is_tried_within_the_price_that_was_told_and_loads_nothing(made, config, model):
    report = await run(made, config)
    rows, calls, told = await made.loaded(), model.calls, []

    def agree(records, cost, unpriced):
        told.append((records, cost, model.calls))
        return True

    tried = await try_prompt(config, report.run_id, OTHER, 8, budget=1.0, agree=agree)

    assert tried is not None
    ((records, cost, calls_then),) = told
    assert (records, calls_then) == (8, calls)
    assert tried.expected_cost == cost > 0
    assert tried.calls_made == model.calls - calls == 8
    assert 0 < tried.cost <= 1
    before = {each.verdict_before for each in tried.tried}
    assert before == {"passed", "rejected"}
    assert all(each.after is not None for each in tried.tried)
    assert await made.loaded() == rows
    kept = await Loom(config.file).get_quarantined_records(limit=100)
    assert {each["run_id"] for each in kept} == {report.run_id}

    again = await try_prompt(config, report.run_id, OTHER, 8, budget=None, agree=agree)
    assert again is not None
    assert (again.calls_made, again.tried) == (0, tried.tried)


async def test_who_says_no_pays_nothing_and_what_is_no_prompt_is_refused(made, config, model):
    report = await run(made, config)
    calls = model.calls
    assert await try_prompt(config, report.run_id, OTHER, 8, budget=None, agree=lambda *_: False) is None
    with pytest.raises(InvalidDefinition, match="prompt"):
        await try_prompt(config, report.run_id, "{{ input.review", 8, budget=None, agree=lambda *_: True)
    assert model.calls == calls
    made.path("reviews.csv").unlink()
    few = await try_prompt(config, report.run_id, OTHER, 8, budget=None, agree=lambda *_: True)
    assert few is not None
    assert {each.verdict_before for each in few.tried} == {"rejected"}
    plain = project(made.folder / "plain", 2, name="plain")
    other = await run(plain, config)
    with pytest.raises((ConfigurationError, InvalidDefinition), match="ai"):
        await try_prompt(config, other.run_id, OTHER, 8, budget=None, agree=lambda *_: True)
