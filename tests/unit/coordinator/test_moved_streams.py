"""Tests where the next window of a stream begins once somebody has named a place, and when that is refused."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_common.contracts.v1 import ExtractSlice, FindPlace, PlaceFound
from loom_common.domain.values.ids import window_run_id
from loom_common.errors import ConfigurationError
from loom_coordinator.db import run_rows, streams
from loom_coordinator.intake import place_answers
from loom_coordinator.lifecycle.streams import moves
from support.run_rows import NOW, sent, the_run
from support.stream_windows import NEXT, STREAM, answer, first, first_window, opened, take

WEEK = 7 * 86_400.0


@pytest.fixture
async def unit():
    """Provide a stream whose window 1 has asked for its first slice."""
    async with first_window() as unit:
        yield unit


def found(*, question="q", known=None, state="there", **more):
    return PlaceFound(
        question=question, stream=STREAM, pipeline="p", begin_at="2h", known_state=known, state=state, words="offset 7",
        was="offset 9", **more,
    )  # fmt: skip


async def move(unit, fact, *, again=False):
    await moves.begin(unit, STREAM, fact, again=again, requested_by="ana")


async def stream_in(unit):
    return await streams.find(unit.connection, STREAM)


async def test_the_window_that_is_open_takes_nothing_more_and_the_next_one_begins_there(unit):
    await move(unit, found())
    await take(unit, answer())
    assert [each.closing for each in sent(unit, ExtractSlice)] == [False, True]
    await take(unit, answer(cursor=NEXT, closed=True, known=3))
    assert await opened(unit) == [1, 2]
    assert sent(unit, ExtractSlice)[-1].cursor == {**NEXT, "state": "there"}
    one, two = [await the_run(unit, window_run_id(STREAM, number)) for number in (1, 2)]
    assert (one.known, one.began_at) == (3, None)
    assert (two.began_at["place"], two.began_at["requested_by"]) == ("offset 7", "ana")
    stream = await stream_in(unit)
    assert (stream.moving, stream.begins) == (None, None)


async def test_the_rest_of_a_page_is_read_before_the_stream_moves(unit):
    await move(unit, found())
    await take(unit, answer(records=3, cursor={"page": 0, "record": 3, "state": None}))
    assert await opened(unit) == [1]


async def test_a_window_that_is_full_in_the_middle_of_a_page_leaves_the_rest_to_the_next_one_which_moves_then(unit):
    await move(unit, found())
    middle = {"page": 0, "record": 10, "state": None}
    await take(unit, answer(records=10, cursor=middle))
    assert await opened(unit) == [1, 2]
    assert sent(unit, ExtractSlice)[-1].cursor == middle
    assert (await stream_in(unit)).moving["place"] == "offset 7"


async def test_a_stream_that_has_come_further_asks_again_and_waits(unit):
    await move(unit, found(known="here"))
    await take(unit, answer(records=3, cursor={**NEXT, "state": "further"}))
    assert await opened(unit) == [1]
    (asked,) = sent(unit, FindPlace)
    assert (asked.state, asked.begin_at, asked.asked) == ("further", "2h", None)
    await place_answers.go_on(unit, found(question="another"))
    assert await opened(unit) == [1]
    for _ in range(2):
        await place_answers.go_on(unit, found(question=asked.question, known="further", state="found anew"))
    assert await opened(unit) == [1, 2]
    assert sent(unit, ExtractSlice)[-1].cursor == {**NEXT, "state": "found anew"}


@pytest.mark.parametrize("why", [{"error": "it is gone"}, {"back": True}])
async def test_a_stream_that_cannot_go_there_by_then_goes_on_where_it_is(unit, why):
    await move(unit, found(known="here"))
    await take(unit, answer(records=3, cursor={**NEXT, "state": "further"}))
    (asked,) = sent(unit, FindPlace)
    await place_answers.go_on(unit, found(question=asked.question, **why))
    assert sent(unit, ExtractSlice)[-1].cursor == {**NEXT, "state": "further"}
    assert (await the_run(unit, window_run_id(STREAM, 2))).began_at is None


async def test_what_is_to_be_taken_again_is_told_by_a_number_in_the_cursor(unit):
    await move(unit, found(back=True), again=True)
    await take(unit, answer(cursor=NEXT, closed=True))
    assert sent(unit, ExtractSlice)[-1].cursor["again"] == round(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("says", "mode", "days", "refused"),
    [
        ({"back": False}, "append", 30, False),
        ({"back": True}, "append", 0, True),
        ({"back": True}, "upsert", 30, False),
        ({"back": True, "told_apart": WEEK, "recent": True}, "append", 30, False),
        ({"back": True, "told_apart": WEEK}, "append", 30, True),
        ({"back": True, "told_apart": WEEK}, "append", 6, False),
    ],
)
async def test_going_back_is_refused_where_rows_would_be_loaded_twice(unit, says, mode, days, refused):
    stream = await stream_in(unit)
    definition = {**stream.template["definition"], "load": {"mode": mode}}
    await streams.change(unit, STREAM, template={**stream.template, "definition": definition})
    unit.now = NOW + dt.timedelta(days=days)
    if not refused:
        await move(unit, found(**says))
        return
    with pytest.raises(ConfigurationError, match="loaded twice"):
        await move(unit, found(**says))
    assert (await stream_in(unit)).moving is None


async def test_a_dropped_window_may_have_received_more_so_that_another_one_reads_it_first(unit):
    await run_rows.change(unit, first(), status=run_rows.CANCELLED)
    await streams.change(unit, STREAM, closed=True, cursor=NEXT)
    await move(unit, found())
    stream = await stream_in(unit)
    assert (stream.cursor, stream.moving["place"]) == (NEXT, "offset 7")


async def test_a_question_that_nobody_answers_is_asked_again(unit):
    await move(unit, found(known="here"))
    await take(unit, answer(records=3, cursor={**NEXT, "state": "further"}))
    await moves.ask_overdue(unit)
    assert len(sent(unit, FindPlace)) == 1
    unit.now = NOW + dt.timedelta(minutes=1)
    await moves.ask_overdue(unit)
    one, other = sent(unit, FindPlace)
    assert (await stream_in(unit)).moving["question"] == other.question != one.question
