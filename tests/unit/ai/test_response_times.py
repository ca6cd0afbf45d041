"""What a response may take is counted from when its request was sent, and anew with each piece of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from loom_ai.http.client.connection import Connection

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class ManualTimer:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self._when, self.call, self.cancelled = when, call, False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """Has a clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[ManualTimer] = []
        self.create_future = asyncio.get_running_loop().create_future

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> ManualTimer:
        self.timers.append(ManualTimer(when, call))
        return self.timers[-1]

    def turn(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [each for each in self.timers if not each.cancelled and each.when() <= until]:
            first = min(due, key=ManualTimer.when)
            self.timers.remove(first)
            self.now = first.when()
            first.call()
        self.now = until

    @property
    def waiting(self) -> int:
        return sum(not each.cancelled for each in self.timers)


class Transport:
    def __init__(self) -> None:
        self.unsent = 0
        self.aborted = False

    def write(self, data: bytes) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True


class Asked:
    """Holds a connection on which a request was sent that may take 10 s for each piece, and 25 s in all."""

    async def begin(self) -> Asked:
        self.connection, self.transport, self.loop = Connection(), Transport(), ManualLoop()
        self.connection._loop = self.loop
        self.connection.connection_made(self.transport)
        await self.ask()
        return self

    async def ask(self) -> None:
        deadline = self.loop.now + 25
        self.task = asyncio.create_task(self.connection.ask(b"question", 1000, 10, deadline))
        await asyncio.sleep(0)

    async def ended(self) -> bool:
        for _ in range(3):
            await asyncio.sleep(0)
        return self.task.done()

    async def gave_up(self) -> bool:
        return await self.ended() and isinstance(self.task.exception(), TimeoutError) and self.transport.aborted


@pytest.fixture
async def asked():
    asked = await Asked().begin()
    yield asked
    asked.task.cancel()


async def test_an_answer_that_does_not_begin_is_given_up(asked):
    asked.loop.turn(9.9)
    assert not await asked.ended()
    asked.loop.turn(0.1)
    assert await asked.gave_up()
    assert asked.loop.waiting == 0


async def test_each_piece_has_its_own_time_and_all_together_have_theirs(asked):
    for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n"):
        asked.loop.turn(9)
        asked.connection.data_received(piece)
    asked.loop.turn(6.9)
    assert not await asked.ended()
    asked.loop.turn(0.1)
    assert await asked.gave_up()


async def test_while_a_long_request_is_being_sent_nothing_is_waited_for(asked):
    asked.transport.unsent = 1_000_000
    asked.loop.turn(19)
    assert not await asked.ended()
    asked.transport.unsent = 0
    asked.connection.data_received(HEAD + b"fine")
    assert (await asked.task).body.data == b"fine"


async def test_sending_has_no_more_time_than_all_together(asked):
    asked.transport.unsent = 1_000_000
    asked.loop.turn(25)
    assert await asked.gave_up()


async def test_the_next_request_on_a_connection_has_the_same_time(asked):
    asked.loop.turn(6)
    asked.connection.data_received(HEAD + b"fine")
    assert (await asked.task).status == 200
    asked.loop.turn(3)
    await asked.ask()
    asked.loop.turn(9.9)
    assert not await asked.ended()
    asked.loop.turn(0.1)
    assert await asked.gave_up()


async def test_a_connection_without_a_request_is_left_alone_and_a_closed_one_waits_for_nothing(asked):
    asked.connection.data_received(HEAD + b"fine")
    await asked.task
    asked.loop.turn(100)
    assert not asked.transport.aborted
    await asked.ask()
    asked.connection.connection_lost(None)
    assert await asked.ended()
    assert asked.task.exception() is not None
    assert asked.loop.waiting == 0


@pytest.mark.parametrize(("error", "whole"), [(None, True), (ConnectionResetError(), False)])
async def test_a_body_without_a_length_is_whole_where_the_connection_ends_and_not_where_it_breaks(asked, error, whole):
    asked.connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nfine")
    asked.connection.connection_lost(error)
    assert await asked.ended()
    assert (asked.task.exception() is None) is whole
