"""Has the next window of a stream begin at a place of its source that somebody has named.

Nothing is changed before an extractor has found the place. Then the window that is open closes, and the transaction
that closes it gives the next one its cursor: with the page that follows, whose number nobody was asked for, and the
state that was found. What had been received stands in pages before that one, and the windows before it read it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from loom_common import flow
from loom_common.console import numbers
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BeganAt, FindPlace, PlaceFound
from loom_common.domain.values.ids import window_run_id
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_coordinator.db import slice_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables import streams as tables
from loom_coordinator.db.unit_of_work import UnitOfWork

_PATIENCE = dt.timedelta(seconds=30)
"""A question that was not answered for so long is asked again: it may be lost with the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Represents `streams.moving`."""

    begin_at: str
    again: bool
    requested_by: str | None
    at: str
    state: Any
    place: str
    was: str | None
    back: bool
    known_state: Any
    """Says how far the stream had come when the place was found."""
    question: str | None = None
    """Names the question that the stream waits for, because it has come further since then."""
    asked_at: str | None = None

    @staticmethod
    def of(stream: Stream) -> Move | None:
        """Return the move that a stream is about to make; None where there is none."""
        return None if stream.moving is None else Move(**stream.moving)

    def found(self, fact: PlaceFound) -> Move:
        """Return the move to the place as it was found again."""
        return replace(
            self,
            state=fact.state,
            place=fact.words,
            was=fact.was,
            back=fact.back,
            known_state=fact.known_state,
            question=None,
            asked_at=None,
        )


async def begin(unit: UnitOfWork, stream_id: str, fact: PlaceFound, *, again: bool, requested_by: str | None) -> None:
    """Have the next window of a stream begin at a place that was found. Raises `ConfigurationError` where rows would be
    loaded twice by that, and nobody has said that they may."""
    stream = await streams.lock(unit, stream_id)
    assert stream is not None, "it was entered"
    if (words := in_the_way(stream, fact, again=again, now=unit.now)) is not None:
        raise ConfigurationError(words)
    move = Move(
        begin_at=fact.begin_at,
        again=again,
        requested_by=requested_by,
        at=unit.now.isoformat(),
        state=fact.state,
        place=fact.words,
        was=fact.was,
        back=fact.back,
        known_state=fact.known_state,
    )
    if stream.closed and await _is_read(unit, stream):
        await streams.change(unit, stream_id, **moved(move, stream.cursor))
    else:
        await streams.change(unit, stream_id, moving=asdict(move))


async def settled(unit: UnitOfWork, stream: Stream, cursor: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes in the row of a stream whose window closes at this cursor, and whose next window is to begin
    elsewhere. Where the stream has come further since the place was found, it is looked for again: whether something
    comes twice depends on that. Nothing changes where the rest of a page is to be read first."""
    move = Move.of(stream)
    if move is None or cursor["record"]:
        return {}
    if cursor["state"] == move.known_state:
        return moved(move, cursor)
    return {"moving": asdict(_asked(unit, stream, move, cursor["state"]))}


def moved(move: Move, cursor: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns of a stream whose next window begins at the place of a move. Pure."""
    before = cursor or {"page": 0, "record": 0, "state": None}
    at = dt.datetime.fromisoformat(move.at)
    began = BeganAt(
        asked=move.begin_at,
        place=move.place,
        was=move.was,
        back=move.back,
        again=move.again,
        requested_by=move.requested_by,
        at=at,
    )
    after = {**before, "state": move.state}
    if move.again:
        after["again"] = round(at.timestamp() * 1000)
    return {"cursor": after, "moving": None, "begins": began.model_dump(mode="json")}


def in_the_way(stream: Stream, fact: PlaceFound, *, again: bool, now: dt.datetime) -> str | None:
    """Return why a stream cannot go back to a place: what it has read would be loaded twice. None where it can."""
    load = stream.template["definition"].get("load") or {}
    if not fact.back or again or load.get("mode") == "upsert":
        return None
    window = fact.told_apart
    if window is not None and (fact.recent or now - stream.opened_at <= dt.timedelta(seconds=window)):
        return None
    why = (
        "its source does not say which of its records a stream has taken"
        if window is None
        else f"some of its records may be older than the {numbers.span(window)} for which they are known "
        "(`dedup_window`)"
    )
    return (
        f"From {fact.words} on, records come again that the stream has read: it is at {fact.was}, "
        f"and {why}. With `load.mode: append` their rows would be loaded twice. Add `--again` (`again: true` in a "
        "request) if they are to be, or load with `mode: upsert`, which replaces them."
    )


async def ask_again(unit: UnitOfWork, stream_id: str) -> None:
    """Ask again for the place that a stream waits for, if it waits for one: whoever was asked may be gone."""
    stream = await streams.lock(unit, stream_id)
    move = None if stream is None else Move.of(stream)
    if stream is not None and move is not None and move.question is not None:
        asked = _asked(unit, stream, move, (stream.cursor or {}).get("state"))
        await streams.change(unit, stream_id, moving=asdict(asked))


async def ask_overdue(unit: UnitOfWork) -> None:
    """Ask again for places that streams of a cluster wait for, where the answer is overdue."""
    named = tables.streams.c
    waiting = select(named.stream_id).where(named.closed, named.moving.is_not(None))
    for stream_id in (await unit.connection.execute(waiting)).scalars().all():
        stream = await streams.find(unit.connection, stream_id)
        move = None if stream is None else Move.of(stream)
        asked_at = None if move is None else move.asked_at
        if asked_at is not None and unit.now - dt.datetime.fromisoformat(asked_at) >= _PATIENCE:
            await ask_again(unit, stream_id)


async def state_of(unit: UnitOfWork, stream_id: str) -> Any:
    """Return how far a stream has come, in the terms of its source; None where it has read nothing."""
    stream = await streams.find(unit.connection, stream_id)
    if stream is None:
        return None
    cursor = (
        stream.cursor if stream.closed else await slice_rows.cursor_of(unit, window_run_id(stream_id, stream.number))
    )
    return None if cursor is None else cursor["state"]


async def _is_read(unit: UnitOfWork, stream: Stream) -> bool:
    """Tell whether nothing can stand in the page at which a closed stream goes on: a window that was dropped may have
    been asked for it."""
    if stream.cursor is None:
        return True
    window = window_run_id(stream.stream_id, stream.number)
    return not stream.cursor["record"] and not await slice_rows.holds_any(unit, window)


def _asked(unit: UnitOfWork, stream: Stream, move: Move, state: Any) -> Move:
    question = uuid4().hex
    message = FindPlace(
        question=question,
        stream=stream.stream_id,
        pipeline=stream.pipeline_name,
        plan=stream.plan,
        begin_at=move.begin_at,
        asked_at=dt.datetime.fromisoformat(move.at),
        state=state,
    )
    unit.send(Outgoing(flow.work(Stage.EXTRACT, stream.pipeline_name), message))
    return replace(move, question=question, asked_at=unit.now.isoformat())
