"""Tests what every destination must do with a run: show its result as one, add it or replace by it, and give it up."""

from __future__ import annotations

from loom_connectors.ports.destination import Guarantee, LoadResult
from support.destinations import ADDING, EVERY, IN_TABLES, MSSQL, REPLACING, SNOWFLAKE, batch, places, row


@places(*EVERY)
async def test_a_run_is_shown_when_it_is_finalized(at):
    async with at.opened() as destination:
        await destination.check()
        assert destination.guarantee in (Guarantee.LEDGER, Guarantee.OBJECT, Guarantee.IDEMPOTENCY_KEY)
    results = await at.load(batch(0, row(1), row(2)), batch(1, row(3)))
    await at.finalize()
    assert results == [LoadResult(2), LoadResult(1)]
    assert await at.rows() == [row(1), row(2), row(3)]


@places(*EVERY)
async def test_what_was_checked_loads_and_can_be_checked_again(at):
    async with at.opened() as destination:
        await destination.check()
        first = await destination.load(batch(0, row(1)))
        await destination.check()
        assert [first, await destination.load(batch(1, row(2)))] == [LoadResult(1), LoadResult(1)]
    await at.finalize()
    assert await at.rows() == [row(1), row(2)]


@places(*EVERY)
async def test_finalizing_twice_is_once(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.finalize()
    assert await at.rows() == [row(1)]


@places(*EVERY)
async def test_a_run_without_records_can_be_finalized(at):
    await at.finalize()
    await at.finalize()
    assert await at.rows() == []


@places(*ADDING)
async def test_a_second_run_adds_to_the_first(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.load(batch(0, row(2), run="run_2"))
    await at.finalize("run_2")
    await at.finalize("run_1")
    assert await at.rows() == [row(1), row(2)]


@places(*ADDING)
async def test_a_cancelled_run_shows_what_was_loaded_and_can_go_on(at):
    await at.load(batch(0, row(1)))
    await at.finalize(complete=False)
    assert await at.rows() == [row(1)]
    await at.load(batch(0, row(1)), batch(1, row(2)))
    await at.finalize(complete=False)
    await at.finalize(complete=True)
    assert await at.rows() == [row(1), row(2)]


@places(*REPLACING, (SNOWFLAKE, "replace"), (MSSQL, "replace"))
async def test_a_second_run_replaces_the_first(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.load(batch(0, row(2), run="run_2"))
    assert await at.rows() == [row(1)]
    await at.finalize("run_2")
    assert await at.rows() == [row(2)]
    await at.finalize("run_1")
    assert await at.rows() == [row(2)]


@places(*REPLACING, (SNOWFLAKE, "replace"), (MSSQL, "replace"))
async def test_a_cancelled_run_replaces_nothing_and_can_go_on(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.load(batch(0, row(2), run="run_2"))
    await at.finalize("run_2", complete=False)
    assert await at.rows() == [row(1)]
    await at.load(batch(1, row(3), run="run_2"))
    await at.finalize("run_2", complete=True)
    assert await at.rows() == [row(2), row(3)]


@places(*REPLACING)
async def test_a_run_that_is_given_up_leaves_nothing_beside_and_replaces_nothing(at):
    await at.load(batch(0, row(1)))
    assert await at.finalize() is True
    await at.load(batch(0, row(2), run="run_2"))
    assert await at.finalize("run_2", complete=False) is False
    assert await at.beside() != []
    for _ in range(2):
        assert await at.drop("run_2") is False
        assert await at.beside() == []
    assert await at.drop("run_3") is False
    assert await at.rows() == [row(1)]


@places(*REPLACING)
async def test_giving_up_a_run_whose_rows_are_in_place_takes_nothing_away(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    assert await at.drop() is True
    assert await at.rows() == [row(1)]


@places(*ADDING)
async def test_giving_up_a_run_shows_what_it_added(at):
    await at.load(batch(0, row(1)))
    assert await at.drop() is True
    assert await at.rows() == [row(1)]


@places(*REPLACING)
async def test_a_run_without_records_leaves_what_is_there_where_it_is_told_to_keep_it(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    assert await at.finalize("run_2", keep=True) is False
    assert await at.rows() == [row(1)]


@places(*REPLACING)
async def test_what_is_there_is_kept_only_where_something_is_there(at):
    assert await at.finalize(keep=True) is True


@places(*EVERY)
async def test_a_destination_says_whether_rows_are_staged_and_what_a_later_run_makes_of_them(at):
    async with at.opened() as destination:
        assert destination.stages is (at.mode == "replace" or (at.database is None and at.api is None))
        assert f"mode {at.mode}" in destination.effect


@places(*REPLACING)
async def test_a_run_without_records_replaces_all_with_nothing(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.finalize("run_2")
    assert await at.rows() == []


@places(*[each for each in IN_TABLES if each[1] == "replace"])
async def test_a_loader_goes_on_where_another_has_removed_what_it_staged(at):
    async with at.opened() as destination:
        await destination.load(batch(0, row(1)))
        assert await at.drop() is False
        assert await destination.load(batch(1, row(2))) == LoadResult(1)
    await at.finalize()
    assert await at.rows() == [row(2)]
