"""Holds the two engines that Loom brings to what every engine keeps. Others are held to it in their packages."""

from __future__ import annotations

import pytest

from support import engine_suite
from support.cluster import MODEL_CALLS_AT_ONCE
from support.command import Command
from support.engine_suite import EngineUnderTest
from support.projects import Project
from support.simulated_model import SimulatedModel

FEW_AT_ONCE = f"providers: {{openai: {{concurrency: {MODEL_CALLS_AT_ONCE}}}}}\n"


async def killed_and_resumed(engine: EngineUnderTest, made: Project, command: Command, run_id: str) -> Command:
    await command.kill()
    return await engine.loom(made, "resume", run_id, "--format", "json")


@pytest.fixture(params=["embedded", "rabbitmq"])
def engine(request, tmp_path) -> EngineUnderTest:
    if request.param == "embedded":
        (tmp_path / "loom.yaml").write_text(f"engine: embedded\n{FEW_AT_ONCE}")
        return EngineUnderTest("embedded", tmp_path, Command.begin, killed_and_resumed)
    cluster = request.getfixturevalue("cluster")

    async def crash(_: EngineUnderTest, __: Project, command: Command, ___: str) -> Command:
        cluster.kill("transformer")
        await cluster.serve()
        return command

    return EngineUnderTest(
        "rabbitmq", cluster.project, Command.begin, crash, "${{RESULTS}}?table={name}", cluster.credentials
    )


async def test_rows_and_books_are_the_same(engine):
    await engine_suite.rows_and_books_are_the_same(engine)


async def test_killed_it_goes_on_and_pays_for_nothing_twice(engine, model: SimulatedModel):
    await engine_suite.killed_it_goes_on_and_pays_for_nothing_twice(engine, model)


async def test_cancelled_it_ends_and_its_books_balance(engine, model: SimulatedModel):
    await engine_suite.cancelled_it_ends_and_its_books_balance(engine, model)


async def test_its_budget_stops_it(engine, model: SimulatedModel):
    await engine_suite.its_budget_stops_it(engine, model)


async def test_interrupted_it_comes_to_a_point_where_it_is_resumed(engine, model: SimulatedModel):
    await engine_suite.interrupted_it_comes_to_a_point_where_it_is_resumed(engine, model)
