"""Tests what every journal keeps, whichever technology holds it."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loom_ai.ports import Entry, Payer
from loom_ai.stores.beside_journal import open_journal
from support.journal_tables import stored
from support.scripted_model import answer_of

NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
DURABLE = ("sqlite", "postgres", "redis")


@pytest.fixture(params=["memory", *DURABLE])
async def url(request, tmp_path):
    async with stored(request, tmp_path) as url:
        yield url


@pytest.fixture
async def journal(url):
    journal = open_journal(url)
    yield journal
    await journal.close()


def entry_of(key: str = "k1", **changes) -> Entry:
    values = {
        "payer": Payer("run_1", "ann"),
        "purpose": "transform",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "answer": answer_of(
            '{"mood": "good"}', tokens_cached=7, tokens_written=3, tokens_audio=2, logprobs=((16, -0.5),)
        ),
        "cost": 0.00021,
        "created_at": NOW,
    }
    return Entry(key=key, **{**values, **changes})


async def test_what_was_put_is_found_as_it_was(journal):
    entry = entry_of()
    await journal.put_many([entry])
    assert await journal.get_many(["k1"]) == {"k1": entry}


async def test_what_is_not_there_is_not_found(journal):
    await journal.put_many([entry_of("k1")])
    assert await journal.get_many(["k2"]) == {}
    assert set(await journal.get_many(["k0", "k1", "k2"])) == {"k1"}


async def test_many_are_kept_and_found_at_once(journal):
    entries = [entry_of(f"k{n}", payer=Payer("run_1", str(n))) for n in range(500)]
    await journal.put_many(entries)
    found = await journal.get_many([entry.key for entry in entries])
    assert found == {entry.key: entry for entry in entries}


async def test_an_entry_takes_the_place_of_an_older_one(journal):
    await journal.put_many([entry_of()])
    newer = entry_of(payer=Payer("run_2", "ben"), cost=0.5, created_at=NOW + dt.timedelta(days=1))
    await journal.put_many([newer])
    assert await journal.get_many(["k1"]) == {"k1": newer}


async def test_texts_are_kept_to_the_letter(journal):
    text = 'a "quoted" \\ line\nwith\ttabs, nulls \x00, emoji \U0001f9f5 and \u2028 separators'
    entry = entry_of(answer=answer_of(text, "length"), payer=Payer("run_1", "schlüssel/ключ/鍵"))
    await journal.put_many([entry])
    assert (await journal.get_many(["k1"]))["k1"] == entry


async def test_writers_of_the_same_keys_do_not_lock_each_other_out(journal):
    entries = [entry_of(f"k{n}") for n in range(50)]
    await asyncio.gather(*(journal.put_many(entries if turn % 2 else entries[::-1]) for turn in range(8)))
    assert len(await journal.get_many([entry.key for entry in entries])) == 50


@pytest.mark.parametrize("url", DURABLE, indirect=True)
async def test_another_connection_finds_what_this_one_put(journal, url):
    await journal.put_many([entry_of()])
    other = open_journal(url)
    try:
        assert await other.get_many(["k1"]) == {"k1": entry_of()}
    finally:
        await other.close()


async def test_it_tells_what_it_holds_by_model(journal):
    later = NOW + dt.timedelta(hours=1)
    await journal.put_many(
        [
            entry_of("k1"),
            entry_of("k2", created_at=later),
            entry_of("k3", model="claude", provider="anthropic"),
            entry_of("k4", purpose="remembered"),
        ]
    )
    claude, gpt = await journal.kept()
    assert claude.provider == "anthropic"
    assert claude.model == "claude"
    assert claude.answers == 1
    assert claude.oldest == NOW
    assert (gpt.answers, gpt.tokens_in, gpt.tokens_out) == (2, 2000, 200)
    assert gpt.cost == pytest.approx(0.00042)
    assert (gpt.oldest, gpt.newest) == (NOW, later)


async def test_an_empty_one_holds_nothing(journal):
    assert await journal.kept() == []
    assert await journal.clear() == 0


async def test_it_forgets_what_it_is_told_to(journal):
    later = NOW + dt.timedelta(hours=1)
    await journal.put_many([entry_of("k1"), entry_of("k2", created_at=later), entry_of("k3", model="claude")])
    assert await journal.clear(before=later, model="gpt-4o-mini") == 1
    assert set(await journal.get_many(["k1", "k2", "k3"])) == {"k2", "k3"}
    assert await journal.clear() == 2
    assert await journal.kept() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(),
    cost=st.floats(0, 1e6),
    latency=st.floats(0, 1e5),
    tokens=st.integers(0, 2**31 - 1),
    age=st.timedeltas(dt.timedelta(0), dt.timedelta(days=20_000)),
)
async def test_any_entry_survives(journal, text, cost, latency, tokens, age):
    answer = replace(answer_of(text), latency=latency, tokens_in=tokens)
    entry = entry_of(answer=answer, cost=cost, created_at=NOW - age)
    await journal.put_many([entry])
    assert await journal.get_many([entry.key]) == {entry.key: entry}
