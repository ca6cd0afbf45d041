"""Takes entries of a stream for a consumer group, and acknowledges them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from loom_common.logs.logger import log
from loom_connectors.redis_streams.entries import Entry
from loom_connectors.redis_streams.server import Server

BEGINNING, END = "0-0", "$"
"""Say where a group begins."""
_NO_KEY = "no such key"
_LOOK_SECONDS = 1.0
"""The pause between two looks for entries that other consumers hold."""
_FOR_ANYBODY_MS = 10**10
"""Says for how long an entry was held that is given back: longer than any `claim_after`."""


class Group:
    """Represents one consumer of a group. What it was given stays its own until it acknowledges it, or somebody claims
    it. Every method raises what the client of Redis raises."""

    def __init__(self, server: Server, stream: str, group: str, consumer: str, start: str, claim_ms: int) -> None:
        """`start` is where a group begins that is not there yet: `BEGINNING` or `END`."""
        self._server = server
        self._redis = server.redis
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._start = start
        self._claim_ms = claim_ms
        self._claimed_at = float("-inf")
        self._claim_from: Any = "0-0"

    async def left(self, most: int) -> list[Entry]:
        """Return entries that this consumer was given and has not acknowledged, and take over those that others hold
        for too long. So what a process held that died comes first."""
        if time.monotonic() - self._claimed_at >= min(_LOOK_SECONDS, self._claim_ms / 1000):
            await self._claim(most)
            self._claimed_at = time.monotonic()
        while True:
            given = await self._read("0", most, None)
            entries = [Entry.of(name, fields) for name, fields in given if fields]
            if gone := [name for name, fields in given if not fields]:
                await self.acknowledge([name.decode() for name in gone])
                log.warning(
                    "entries were removed from the stream before they were kept", stream=self._stream, entries=len(gone)
                )
            if entries or not gone:
                return entries

    async def new(self, most: int, wait_seconds: float) -> list[Entry]:
        """Return entries that nobody was given, once there is one; none where none comes in so many seconds."""
        given = await self._read(">", most, round(wait_seconds * 1000) or None)
        return [Entry.of(name, fields) for name, fields in given]

    async def acknowledge(self, names: Sequence[str]) -> None:
        """Have the group forget these entries."""
        if names:
            await self._redis.xack(self._stream, self._group, *names)

    async def give_back(self, names: Sequence[str]) -> None:
        """Let whoever looks next for entries that others hold take these over at once."""
        if names:
            await self._redis.xclaim(
                self._stream, self._group, self._consumer, 0, list(names), idle=_FOR_ANYBODY_MS, justid=True
            )

    async def take_over(self, named: str, until: str) -> None:
        """Take over entries up to this one that consumers hold whose names begin so. They are what `left` gives."""
        for each in await self._in_group(lambda: self._redis.xinfo_consumers(self._stream, self._group)):
            name = each["name"].decode("utf-8", "replace")
            if not each["pending"] or name == self._consumer or not name.startswith(named):
                continue
            held = await self._redis.xpending_range(
                self._stream, self._group, "-", until, each["pending"], each["name"]
            )
            found: list[Any] = [entry["message_id"] for entry in held]
            if found:
                await self._redis.xclaim(self._stream, self._group, self._consumer, 0, found, justid=True)
                log.info("entries of another consumer are taken over", stream=self._stream, entries=len(found))

    async def first(self, most: int) -> list[Entry]:
        """Look at the entries that the group takes next, and leave them there."""
        found = await self._info()
        if found is None and self._start != BEGINNING:
            return []
        after = BEGINNING if found is None else found["last-delivered-id"].decode()
        given: Any = await self._redis.xrange(self._stream, f"({after}", "+", count=most)
        return [Entry.of(name, fields) for name, fields in given]

    async def count(self) -> int | None:
        """Count the entries that the group has not acknowledged; None where the server cannot tell, because entries
        were removed."""
        if (found := await self._info()) is not None:
            return None if found.get("lag") is None else int(found["lag"]) + int(found["pending"])
        return int(await self._redis.xlen(self._stream)) if self._start == BEGINNING else 0

    async def newest(self) -> str:
        """Return the id of the newest entry that the stream has had."""
        found = await self._in_group(lambda: self._redis.xinfo_stream(self._stream))
        return str(found["last-generated-id"].decode())

    async def last_given(self) -> str | None:
        """Return the id of the last entry that the group was given; None where there is no group, or it was given
        none."""
        found = await self._info()
        last = None if found is None else found["last-delivered-id"].decode()
        return None if last == BEGINNING else last

    async def begin_after(self, name: str) -> None:
        """Have the group be given what follows an entry, or the place of one, next."""
        await self._in_group(lambda: self._redis.xgroup_setid(self._stream, self._group, name))

    async def leave(self) -> None:
        """Remove this consumer from its group, unless it holds entries: they would be forgotten with it."""
        pending = await self._redis.xpending_range(self._stream, self._group, "-", "+", 1, self._consumer)
        if not pending:
            await self._redis.xgroup_delconsumer(self._stream, self._group, self._consumer)

    async def _info(self) -> dict[str, Any] | None:
        """Return what the server tells of the group; None where it is not there."""
        try:
            groups = await self._redis.xinfo_groups(self._stream)
        except ResponseError as error:
            if _NO_KEY in str(error):
                return None
            raise
        return next((each for each in groups if each["name"] == self._group.encode()), None)

    async def _claim(self, most: int) -> None:
        claimed = await self._in_group(
            lambda: self._redis.xautoclaim(
                self._stream, self._group, self._consumer, self._claim_ms, self._claim_from, count=most
            )
        )
        self._claim_from = claimed[0]
        if claimed[1]:
            log.info("entries of another consumer are taken over", stream=self._stream, entries=len(claimed[1]))

    async def _read(self, after: str, most: int, block_ms: int | None) -> list[tuple[bytes, dict[bytes, bytes]]]:
        found = await self._in_group(
            lambda: self._redis.xreadgroup(
                self._group, self._consumer, {self._stream: after}, count=most, block=block_ms
            )
        )
        return list(found[0][1]) if found else []

    async def _in_group(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Carry out a command. Where the group is not there, make it, and the stream, too: who reads may come first."""
        try:
            return await command()
        except ResponseError as error:
            if not str(error).startswith("NOGROUP") and _NO_KEY not in str(error):
                raise
        try:
            await self._redis.xgroup_create(self._stream, self._group, self._start, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        return await command()
