"""Tests what every store of seen values must do."""

import asyncio

import pytest

from loom_ai.stores.beside_budgets import open_seen_values
from loom_common.config.settings import JournalSettings, Settings
from loom_common.ports.seen_values import SeenValue
from support.journal_tables import stored


@pytest.fixture(params=["sqlite", "postgres"])
async def replicas(request, tmp_path):
    """Provide two processes' views of one store."""
    async with stored(request, tmp_path) as url:
        settings = Settings(journal=JournalSettings(url=url))
        one, other = open_seen_values(settings), open_seen_values(settings)
        yield one, other
        await one.close()
        await other.close()


def values(record_id: str, *digests: str, scope: str = "run_1", check: str = "extract/c") -> list[SeenValue]:
    return [SeenValue(scope, check, digest, record_id) for digest in digests]


async def test_the_first_record_with_a_value_has_it_in_every_process(replicas):
    one, other = replicas
    assert await one.first(values("ann", "d1", "d2")) == ["ann", "ann"]
    assert await other.first(values("ben", "d2", "d3")) == ["ann", "ben"]
    assert await one.first(values("ann", "d1", "d3")) == ["ann", "ben"]


async def test_of_records_asked_about_together_the_first_counts(replicas):
    one, _ = replicas
    assert await one.first([*values("ann", "d1"), *values("ben", "d1")]) == ["ann", "ann"]


async def test_runs_and_checks_are_kept_apart(replicas):
    one, _ = replicas
    await one.first(values("ann", "d1"))
    assert await one.first(values("ben", "d1", scope="run_2")) == ["ben"]
    assert await one.first(values("cyd", "d1", check="load/c")) == ["cyd"]


async def test_many_values_from_two_processes_at_once_have_one_holder_each(replicas):
    digests = [f"{number:032}" for number in range(2500)]
    answers = await asyncio.gather(
        *(replica.first(values(f"r{at}", *digests)) for at, replica in enumerate((*replicas, *replicas)))
    )
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert set(answers[0]) <= {"r0", "r1", "r2", "r3"}
