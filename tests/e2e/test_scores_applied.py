"""Tests the verdicts of outputs that were scored again, applied: what passes now is loaded, what no longer does is
withdrawn, and nothing twice."""

from __future__ import annotations

import pytest

from loom import Loom
from loom.project.config import LoomConfig
from loom.rescoring.apply import apply
from loom.rescoring.request import Asked
from loom.views import open_views
from loom_common.errors import ConfigurationError
from loom_common.resilience import failpoints
from loom_coordinator.queries.audit.books import books
from loom_coordinator.queries.audit.rules import differences
from support.projects import Project, ids, project, python, reviews
from support.rescored import CODE, STARS, asked_by, run

LOADED = "sqlite:///out.db?table=loaded"


async def resolved(config: LoomConfig, run_id: str) -> dict[str, str | None]:
    """Return what became of the records that are in quarantine, by their ids."""
    kept = await Loom(config.file).get_quarantined_records(run_id=run_id, limit=100)
    return {each["record_id"]: each["resolution_action"] for each in kept}


def starred(folder, **changes) -> Project:
    return project(
        folder, 20, transform=python(), evaluate={"evaluators": [STARS]}, code=CODE,
        **{"destination": LOADED, "extract": {"batch_size": 6}, **changes},
    )  # fmt: skip


def of_stars(*stars: int) -> list[str]:
    return [row["id"] for row in reviews(20) if int(row["stars"]) in stars]


@pytest.mark.parametrize("load", [{}, {"mode": "replace"}, {"mode": "upsert", "key": ["id"]}], ids=str)
async def test_what_is_applied_loads_who_passes_now_and_withdraws_who_no_longer_does_once(tmp_path, config, load):
    made = starred(tmp_path, load=load)
    report = await run(made, config)
    assert ids(await made.loaded()) == of_stars(2, 3, 4, 5)
    asked = asked_by(made, {**STARS, "min": 1, "max": 3})

    applied = await apply(config, report.run_id, asked)

    assert (applied.pass_now, applied.fail_now) == (4, 8)
    assert (applied.applied["loaded"], applied.applied["withdrawn"]) == (4, 8)
    assert ids(await made.loaded()) == of_stars(1, 2, 3)
    became = await resolved(config, report.run_id)
    assert became == dict.fromkeys(of_stars(1), "rescored") | dict.fromkeys(of_stars(4, 5))

    again = await apply(config, report.run_id, asked)

    assert (again.pass_now, again.fail_now, again.gone) == (0, 0, 0)
    assert (again.applied["loaded"], again.applied["withdrawn"]) == (0, 0)
    assert ids(await made.loaded()) == of_stars(1, 2, 3)
    assert again.verdicts == {"passed": 12, "rejected": 8, "error": 0}


async def test_what_was_applied_is_taken_back_by_applying_the_evaluators_of_the_run(tmp_path, config):
    made = starred(tmp_path)
    report = await run(made, config)
    for _ in range(2):
        await apply(config, report.run_id, asked_by(made, {**STARS, "min": 1, "max": 3}))
        assert ids(await made.loaded()) == of_stars(1, 2, 3)
        back = await apply(config, report.run_id, Asked())
        assert (back.applied["loaded"], back.applied["withdrawn"]) == (8, 4)
        assert ids(await made.loaded()) == of_stars(2, 3, 4, 5)
    async with open_views(config) as views, views.engine.connect() as connection:
        assert differences(await books(connection, report.run_id, None)) == []


class Killed(BaseException):
    """Ends what is going on, as the end of the process would: nobody handles it."""


@pytest.mark.parametrize("point", ["before_withdrawal", "after_withdrawal", "before_rescored_load"])
async def test_an_apply_that_is_killed_is_finished_by_the_next_and_changes_nothing_twice(
    tmp_path, config, monkeypatch, point
):
    made = starred(tmp_path)
    report = await run(made, config)
    asked = asked_by(made, {**STARS, "min": 1, "max": 3})
    reached = failpoints.reach

    async def killed(name: str) -> None:
        if name == point:
            raise Killed
        await reached(name)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(failpoints, "reach", killed)
        await apply(config, report.run_id, asked)
    finished = await apply(config, report.run_id, asked)
    assert finished.applied["finished_earlier"]
    assert ids(await made.loaded()) == of_stars(1, 2, 3)
    once_more = await apply(config, report.run_id, asked)
    assert (once_more.applied["loaded"], once_more.applied["withdrawn"]) == (0, 0)
    assert ids(await made.loaded()) == of_stars(1, 2, 3)


async def test_a_destination_that_gives_nothing_back_is_left_as_it_is_and_says_why(tmp_path, config):
    for name, destination, loading in (
        ("file", "results/out.csv", {}),
        ("appended", LOADED, {"mode": "append"}),
    ):
        made = starred(tmp_path / name, destination=destination, load=loading, name=name)
        report = await run(made, config)
        before = await made.loaded()
        with pytest.raises(ConfigurationError, match=r"Nothing is applied: 8 loaded records no longer pass"):
            await apply(config, report.run_id, asked_by(made, {**STARS, "min": 1, "max": 3}))
        assert await made.loaded() == before
        more = await apply(config, report.run_id, asked_by(made, {**STARS, "min": 1}))
        assert (more.applied["loaded"], more.applied["withdrawn"]) == (4, 0)
        assert ids(await made.loaded()) == of_stars(1, 2, 3, 4, 5)


async def test_what_a_later_run_has_loaded_is_not_withdrawn(tmp_path, config):
    made = starred(tmp_path)
    first = await run(made, config)
    second = await run(made, config)
    with pytest.raises(ConfigurationError, match=rf"Score that one: loom evaluate {second.run_id}"):
        await apply(config, first.run_id, asked_by(made, {**STARS, "max": 3}))
    assert ids(await made.loaded()) == of_stars(2, 3, 4, 5)


async def test_an_interrupted_apply_is_given_up_where_another_run_has_loaded_since(tmp_path, config, monkeypatch):
    made = starred(tmp_path)
    first = await run(made, config)
    asked = asked_by(made, {**STARS, "min": 1, "max": 3})

    async def killed(_: str) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(failpoints, "reach", killed)
        await apply(config, first.run_id, asked)
    second = await run(made, config)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=rf"Score that one: loom evaluate {second.run_id}"):
            await apply(config, first.run_id, asked)
    assert ids(await made.loaded()) == of_stars(2, 3, 4, 5)
    applied = await apply(config, second.run_id, asked)
    assert (applied.applied["loaded"], applied.applied["withdrawn"]) == (4, 8)
    assert ids(await made.loaded()) == of_stars(1, 2, 3)
