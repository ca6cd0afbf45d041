"""The journal and the claims ask Postgres the same for one answer as for many: each other statement would have to be
prepared by it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from loom_ai.journal.claims import Claim
from loom_ai.ports import Entry, ModelAnswer, Payer
from loom_ai.stores.beside_journal import open_claims, open_journal
from support.journal_tables import create_tables

ANN = Payer("run_1", "ann")
ANSWER = ModelAnswer("fine", "stop", "small", tokens_in=1, tokens_cached=0, tokens_out=1, latency=0.1)
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@contextmanager
def statements() -> Iterator[set[str]]:
    """Give the different statements that are sent within the block."""
    sent: set[str] = set()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.add(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_answers_are_written_and_found_by_one_statement_each_however_many_they_are(postgres_url: str) -> None:
    await create_tables(postgres_url)
    journal = open_journal(postgres_url)
    try:
        with statements() as sent:
            for number in (1, 2, 5):
                keys = [f"{number}/{each}" for each in range(number)]
                entries = [Entry(key, ANN, "transform", "openai", "small", ANSWER, 0.1, NOW) for key in keys]
                await journal.put_many(entries)
                assert await journal.get_many(keys) == {each.key: each for each in entries}
        assert len(sent) == 2
    finally:
        await journal.close()


async def test_claims_are_taken_and_released_by_one_statement_each_however_many_they_are(postgres_url: str) -> None:
    await create_tables(postgres_url)
    claims = open_claims(postgres_url)
    assert claims is not None
    try:
        await claims.take([Claim.of("first", ANN)])  # with which those that have expired are swept, once
        with statements() as sent:
            for number in (1, 2, 5):
                asked = [Claim.of(f"{number}/{each}", ANN) for each in range(number)]
                assert await claims.take(asked) == [True] * number
                await claims.release(asked)
        assert len(sent) == 2
    finally:
        await claims.close()
