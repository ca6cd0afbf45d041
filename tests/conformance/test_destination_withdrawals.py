"""Tests what every table must do with rows that are withdrawn: they go once, and may come again by a replay."""

from __future__ import annotations

from dataclasses import replace

from loom_connectors.ports.destination import Row, WithdrawingDestination
from support.destinations import ADDING, TABLES, batch, places, row

KEYED = [(location, "upsert") for location in TABLES]


def of_run(*numbers, run, position=0, origin="run_1"):
    """Make a batch of records of `origin`, which are named by their numbers."""
    rows = [Row(f"r{number}", row(number)) for number in numbers]
    return replace(batch(position, run=run), rows=rows, origin=origin)


async def withdrawn(at, given) -> int:
    async with at.opened() as destination:
        assert isinstance(destination, WithdrawingDestination)
        assert destination.keeps_rows is None
        return await destination.withdraw(given)


@places(*KEYED)
async def test_rows_are_withdrawn_once_and_nothing_of_it_stays_beside_the_table(at):
    await at.load(of_run(1, 2, 3, 4, run="run_1", origin=None))
    assert await withdrawn(at, of_run(2, 4, 9, run="score_1")) == 2
    assert await at.rows() == [row(1), row(3)]
    assert await at.beside() == []
    await at.load(of_run(2, run="run_2", origin=None))  # another run loads it again, as it may
    assert await withdrawn(at, of_run(2, 4, 9, run="score_1")) == 0
    assert await at.rows() == [row(1), row(2), row(3)]


@places(*KEYED)
async def test_a_replay_loads_again_what_was_withdrawn_after_a_replay_had_loaded_it(at):
    for loading, withdrawing in (("run_2", "score_2"), ("run_3", "score_3")):
        [result] = await at.load(of_run(1, 2, run=loading))
        assert result.loaded == 2
        assert await at.rows() == [row(1), row(2)]
        assert await withdrawn(at, of_run(1, 2, run=withdrawing)) == 2
        assert await at.rows() == []


@places(*[(location, mode) for location, mode in ADDING if mode == "append"])
async def test_what_adds_rows_says_why_none_is_withdrawn(at):
    async with at.opened() as destination:
        if isinstance(destination, WithdrawingDestination):
            assert "no key by which one could be found" in (destination.keeps_rows or "")
