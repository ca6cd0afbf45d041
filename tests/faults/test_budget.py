"""Tests a budget with everything against it: the journal goes away, and a replica dies with calls under way."""

from __future__ import annotations

import asyncio

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_ai.budget.prices import Prices, Tokens
from loom_common.contracts.v1 import RunFinished, RunProgress
from loom_dev.waiting import within
from support.books import assert_complete
from support.clients import request_of
from support.cluster import MODEL_CALLS_AT_ONCE
from support.projects import ai, project, review_ids
from support.scripted_model import call_of

RECORDS = 200
BUDGET = 0.0009
"""An amount in USD: about a hundred calls."""


async def test_neither_a_lost_journal_nor_a_dead_replica_lets_a_run_pass_its_budget(cluster, model, own_redis):
    name = "hard_pressed"
    made = project(
        cluster.project / name, RECORDS, name=name, transform=ai(model.base_url, max_tokens=40),
        destination=f"${{RESULTS}}?table={name}", extract={"batch_size": 10},
    )  # fmt: skip
    made.say(monitoring={"cost_budget": BUDGET})
    config = LoomConfig.load(cluster.project / "loom.yaml")
    cluster.begin("transformer.2")
    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        await asked(model, 20)
        own_redis.kill()  # what was answered so far is asked again: within the budget, like any other call
        await asked(model, 40)
        cluster.kill("transformer")
        await cluster.serve()
        async with within(60):
            events = [event async for event in session.follow(accepted.run_id)]
        paused = events[-1]
        cost = Prices().quote(call_of(), Tokens(given=model.tokens_in, answered=model.tokens_out)).usd
        print(f"{model.calls} calls, ${cost:.6f} of ${BUDGET:.6f}")
        assert isinstance(paused, RunProgress)
        assert paused.reason == "budget_exhausted"
        assert cost <= BUDGET

        own_redis.start()
        await session.resume(accepted.run_id, budget=1.0)
        async with within(60):
            events = [event async for event in session.follow(accepted.run_id)]
    cluster.drop("transformer.2")
    assert isinstance(events[-1], RunFinished)
    assert_complete(events[-1].report.model_dump(), await made.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls <= 2 * RECORDS + MODEL_CALLS_AT_ONCE


async def asked(model, calls: int) -> None:
    """Wait until the model was asked so often."""
    async with within(30):
        while model.calls < calls:
            await asyncio.sleep(0.01)
