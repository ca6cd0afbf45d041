"""Runs that say how their model is asked, over each protocol: what was asked, paid, kept and loaded."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import orjson
import pytest

from loom.session import open_session
from loom_ai.budget.prices import Prices, Tokens
from support.books import assert_balanced
from support.clients import ended, request_of
from support.projects import ai, project
from support.scripted_model import call_of

RECORDS = 6
MODELS = {
    "openai": ("openai:gpt-4o-mini", {"seed": 3, "reasoning": "low", "logprobs": "mood"}),
    "anthropic": ("anthropic:claude-haiku-4-5", {"reasoning": 1024, "cache_prompt": True}),
    "google": ("google:gemini-2.5-flash", {"seed": 3, "reasoning": 512, "logprobs": "mood"}),
}


@pytest.mark.parametrize("protocol", MODELS)
async def test_a_run_says_how_its_model_is_asked(here, model, protocol):
    name, options = MODELS[protocol]
    place = {"openai": model.base_url, "anthropic": model.root_url, "google": f"{model.root_url}/v1beta"}[protocol]
    made = project(
        here.folder / protocol,
        RECORDS,
        transform=ai(
            place,
            model=name,
            system="You read reviews. " * 20,
            messages=[{"role": "user", "content": "Are you ready?"}, {"role": "assistant", "content": "Yes."}],
            output={"mood": {"enum": ["good", "bad"]}},
            **options,
        ),
        destination="sqlite:///out.db?table=moods",
    )
    made.say(monitoring={"cost_budget": 1.0})
    async with open_session(here.config, cluster=False) as session:
        reports = []
        for _ in range(2):
            accepted = await session.start(request_of(made, here.config))
            reports.append((await ended(session, accepted.run_id)).report.model_dump())
    first, again = reports
    assert_balanced(first)
    assert first["records"]["loaded"] == RECORDS
    assert (again["calls"]["made"], again["cost"]["total"]) == (0, 0)  # journalled, with what decides the answer

    rows = await made.loaded()
    for row in rows:
        assert ("confidence" in row) is ("logprobs" in options)
        assert "logprobs" not in options or 0.3 <= row["confidence"] <= 1
    with closing(sqlite3.connect(here.folder / ".loom" / "journal.db")) as journal:
        answers = journal.execute(
            "SELECT body, tokens_in, tokens_cached, tokens_out, cost FROM journal WHERE purpose = 'transform'"
        ).fetchall()
    assert len(answers) == RECORDS
    least = {"openai": 64, "anthropic": 1024, "google": 512}[protocol]
    prices = Prices()
    asked = call_of(model=name.partition(":")[2], provider=protocol, base_url=place)
    for body, given, cached, answered, cost in answers:
        kept = orjson.loads(body)
        assert answered > least
        assert ("logprobs" in kept) is ("logprobs" in options)
        tokens = Tokens(given, cached, answered, kept.get("tokens_written", 0))
        assert cost == pytest.approx(prices.quote(asked, tokens).usd)
    assert first["cost"]["total"] == pytest.approx(sum(each[-1] for each in answers))
    if protocol == "anthropic":
        assert sum("tokens_written" in orjson.loads(each[0]) for each in answers) >= 1
        assert sum(each[2] > 0 for each in answers) >= 1
