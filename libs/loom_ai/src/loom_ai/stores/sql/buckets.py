"""Keeps rate limit buckets in a table, each changed by one statement. Postgres uses its own clock, SQLite the
machine's."""

from __future__ import annotations

import time

import sqlalchemy as sa

from loom_ai.pacing.bucket import Taken, Wish
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncEngine

_WHAT = "The limits"
_DIALECTS = {
    "postgresql": ("extract(epoch FROM clock_timestamp())::double precision", "greatest"),
    "sqlite": (":now", "max"),
}
"""Holds for each dialect the expression for the current time, and the function for the greatest of several numbers."""


class SqlBuckets:
    """Keeps `Buckets` with an engine of its own. The migrations must have created the table."""

    def __init__(self, engine: AsyncEngine, place: str) -> None:
        self._engine = engine
        self._place = place
        now, greatest = _DIALECTS[engine.dialect.name]
        self._own_clock = now != ":now"
        # Only these two expressions are formatted into the statements; values are bound parameters.
        self._take = sa.text(f"""
            INSERT INTO model_buckets AS kept (bucket, requests_until, tokens_until, paused_until)
            VALUES (:bucket, {now} + :requests, {now} + :tokens, 0)
            ON CONFLICT (bucket) DO UPDATE SET
                requests_until = {greatest}(kept.requests_until, {now}, kept.paused_until) + :requests,
                tokens_until = {greatest}(kept.tokens_until, {now}, kept.paused_until) + :tokens
            RETURNING {now}, requests_until - :requests, tokens_until - :tokens, paused_until
        """)  # noqa: S608
        self._pause = sa.text(f"""
            INSERT INTO model_buckets AS kept (bucket, requests_until, tokens_until, paused_until)
            VALUES (:bucket, 0, 0, {now} + :seconds)
            ON CONFLICT (bucket) DO UPDATE SET
                paused_until = {greatest}(kept.paused_until, {now} + :seconds)
        """)  # noqa: S608
        self._paused = sa.text(f"SELECT paused_until - {now} FROM model_buckets WHERE bucket = :bucket")  # noqa: S608

    async def take(self, bucket: str, wish: Wish) -> Taken:
        with trouble(_WHAT, self._place, "written"):
            values = self._values(bucket, requests=wish.requests, tokens=wish.tokens)
            [row] = await self._engine.fetch(self._take, values)
        return Taken(*map(float, row))

    async def pause(self, bucket: str, seconds: float) -> None:
        with trouble(_WHAT, self._place, "written"):
            await self._engine.carry_out(self._pause, self._values(bucket, seconds=seconds))

    async def paused(self, bucket: str) -> float:
        with trouble(_WHAT, self._place, "read"):
            rows = await self._engine.fetch(self._paused, self._values(bucket))
        return max([0.0, *(float(row[0]) for row in rows)])

    async def close(self) -> None:
        await self._engine.dispose()

    def _values(self, bucket: str, **values: float) -> dict[str, object]:
        given: dict[str, object] = {"bucket": bucket, **values}
        return given if self._own_clock else {**given, "now": time.time()}
