"""Knows records again that come over HTTP, by a hash of their key, for as long as their pipeline says.

A request claims the keys of its records, and the transaction that starts its run takes the claims over. So a key is
either that of a run that there is, or claimed by a request that is under way. Claims of a request that came to nothing
lapse after `CLAIMED`: whoever needs their keys deletes them, and a run that comes later is then refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.errors import ConfigurationError
from loom_coordinator.db.tables.requests import ingest_claims as claims
from loom_coordinator.db.tables.requests import ingest_keys as keys
from loom_migrations.upserts import inserting

CLAIMED = dt.timedelta(minutes=2)
"""Says how long the claims of a request hold that has not begun a run."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Names the claims of one request, and says how long a record of it is known."""

    name: str
    pipeline: str
    window: dt.timedelta


@dataclass(frozen=True, slots=True)
class Holder:
    """Says who has a key that a request does not get."""

    own: bool
    """Tells whether it is the same request, which has the key twice."""
    run_id: str | None
    """Is the run that has it; None where no run has begun."""


async def claim(
    connection: AsyncConnection, mine: Claims, digests: Sequence[str], now: dt.datetime, *, first: bool
) -> dict[str, Holder]:
    """Claim keys, each named once, and return who has those that are not free: a run, the same request, or one that is
    under way. `first`: whether these are the first of the request. Where its earlier claims have lapsed since, it gets
    none. Claims of one transaction are made in one order, so that two requests never wait for each other."""
    await _drop_lapsed(connection, mine.pipeline, now)
    if not await _entered(connection, mine, now, first=first):
        return {digest: Holder(own=False, run_id=None) for digest in digests}
    rows = [
        {"pipeline_name": mine.pipeline, "digest": digest, "claims": mine.name, "expires_at": now + mine.window}
        for digest in sorted(digests)
    ]
    wanted = inserting(connection.dialect.name, keys).values(rows)
    free = wanted.on_conflict_do_update(
        index_elements=["pipeline_name", "digest"],
        set_={"claims": wanted.excluded.claims, "expires_at": wanted.excluded.expires_at},
        where=keys.c.expires_at < now,
    )
    got = set((await connection.execute(free.returning(keys.c.digest))).scalars())
    others = [digest for digest in digests if digest not in got]
    if not others:
        return {}
    held = (
        select(keys.c.digest, keys.c.claims, claims.c.run_id)
        .select_from(keys.outerjoin(claims, claims.c.name == keys.c.claims))
        .where(keys.c.pipeline_name == mine.pipeline, keys.c.digest.in_(others))
    )
    found = {row.digest: Holder(row.claims == mine.name, row.run_id) for row in await connection.execute(held)}
    return {digest: found.get(digest, Holder(own=False, run_id=None)) for digest in others}


async def _drop_lapsed(connection: AsyncConnection, pipeline: str, now: dt.datetime) -> None:
    """Delete the claims of requests that came to nothing, with their keys."""
    lapsed = delete(claims).where(
        claims.c.pipeline_name == pipeline, claims.c.run_id.is_(None), claims.c.claimed_until < now
    )
    names = list((await connection.execute(lapsed.returning(claims.c.name))).scalars())
    if names:
        await connection.execute(delete(keys).where(keys.c.claims.in_(names)))


async def _entered(connection: AsyncConnection, mine: Claims, now: dt.datetime, *, first: bool) -> bool:
    """Enter a request, or note that it still goes on. Return whether that could be noted."""
    values = {"claimed_until": now + CLAIMED, "expires_at": now + mine.window}
    if first:
        row = {"name": mine.name, "pipeline_name": mine.pipeline, "run_id": None, **values}
        await connection.execute(insert(claims).values(row))
        return True
    noted = update(claims).where(claims.c.name == mine.name).values(**values).returning(claims.c.name)
    return (await connection.execute(noted)).scalar_one_or_none() is not None


async def take_over(connection: AsyncConnection, name: str, run_id: str) -> None:
    """Let a run that begins have the keys of a request. Raises `ConfigurationError` where another request may have
    claimed them since."""
    taken = update(claims).where(claims.c.name == name, claims.c.run_id.is_(None)).values(run_id=run_id)
    if (await connection.execute(taken.returning(claims.c.name))).scalar_one_or_none() is None:
        raise ConfigurationError(
            "The request waited too long for its run to begin: its records are free to come again. Send it again."
        )


async def release(connection: AsyncConnection, name: str) -> None:
    """Let go of the claims of a request, unless a run has taken them over."""
    dropped = delete(claims).where(claims.c.name == name, claims.c.run_id.is_(None)).returning(claims.c.name)
    if (await connection.execute(dropped)).scalar_one_or_none() is not None:
        await connection.execute(delete(keys).where(keys.c.claims == name))


async def forget_old(connection: AsyncConnection, now: dt.datetime) -> None:
    """Forget records whose window is over."""
    await connection.execute(delete(keys).where(keys.c.expires_at < now))
    await connection.execute(delete(claims).where(claims.c.expires_at < now))
