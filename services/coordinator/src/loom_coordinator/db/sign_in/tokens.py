"""Keeps the tokens of the API, and the sessions of the console that were opened with them, by their hashes alone."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, delete, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.domain.access import GROUP
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError, NotFound
from loom_coordinator.db.tables.access import api_sessions, api_tokens
from loom_migrations.upserts import inserting

PREFIX = "loom_"
"""Stands before each token, so that programs that look for secrets in texts find it."""
SESSION = dt.timedelta(hours=12)
"""Says how long a session of the console lasts."""


@dataclass(frozen=True, slots=True)
class TokenLine(Shown):
    """Describes a token. What it is made of is stored nowhere."""

    name: str
    user: str
    scopes: Sequence[str]
    """The actions that it may be used for; `*` for all that its user may do."""
    created_at: dt.datetime
    created_by: str
    expires_at: dt.datetime
    revoked_at: dt.datetime | None


_COLUMNS = tuple(api_tokens.c[field.name] for field in fields(TokenLine))


def hash_of(secret: str) -> str:
    """Return what is stored of a secret. It holds 256 random bits, so that nothing is won by hashing it slowly."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def create(
    connection: AsyncConnection, name: str, user: str, scopes: Sequence[str], by: str, now: dt.datetime, days: float
) -> str:
    """Enter a token, and return it. It cannot be had again. Raises `ConfigurationError` where the name is taken, or the
    user would be a group."""
    if user.startswith(GROUP):
        raise ConfigurationError(f"'{user}' cannot be the name of a user: policies mean a group by `{GROUP}NAME`.")
    secret = PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "hash": hash_of(secret),
        "user": user,
        "scopes": list(scopes),
        "created_at": now,
        "created_by": by,
        "expires_at": now + dt.timedelta(days=days),
    }
    entered = inserting(connection.dialect.name, api_tokens).values(**values).on_conflict_do_nothing()
    if (await connection.execute(entered.returning(api_tokens.c.name))).scalar_one_or_none() is None:
        raise ConfigurationError(f"There is a token named '{name}' already. `loom token list` shows all of them.")
    return secret


async def listed(connection: AsyncConnection) -> list[TokenLine]:
    """Return all tokens, the newest first."""
    rows = await connection.execute(select(*_COLUMNS).order_by(api_tokens.c.created_at.desc(), api_tokens.c.name))
    return [TokenLine(**row) for row in rows.mappings()]


async def revoke(connection: AsyncConnection, name: str, now: dt.datetime) -> None:
    """Let a token, and the sessions that were opened with it, be of no more use. Raises `NotFound`."""
    named = api_tokens.c.name == name
    if (await connection.execute(select(api_tokens.c.name).where(named))).scalar_one_or_none() is None:
        raise NotFound(f"There is no token named '{name}'. `loom token list` shows all of them.")
    unrevoked = update(api_tokens).where(named, api_tokens.c.revoked_at.is_(None))
    await connection.execute(unrevoked.values(revoked_at=now))
    await connection.execute(delete(api_sessions).where(api_sessions.c.token_name == name))


async def find(connection: AsyncConnection, secret: str, now: dt.datetime) -> TokenLine | None:
    """Return the token that a client gave; None where it is none, has expired or is revoked."""
    query = select(*_COLUMNS).where(api_tokens.c.hash == hash_of(secret), *_valid(now))
    return _line(await connection.execute(query))


async def open_session(connection: AsyncConnection, token: TokenLine, now: dt.datetime) -> str:
    """Open a session with a token, and return its secret. Sessions that have ended are removed."""
    secret = secrets.token_urlsafe(32)
    await connection.execute(delete(api_sessions).where(api_sessions.c.expires_at < now))
    values = {"hash": hash_of(secret), "token_name": token.name, "created_at": now, "expires_at": now + SESSION}
    await connection.execute(api_sessions.insert().values(**values))
    return secret


async def of_session(connection: AsyncConnection, secret: str, now: dt.datetime) -> TokenLine | None:
    """Return the token that a session was opened with; None where the session, or the token, has ended."""
    query = (
        select(*_COLUMNS)
        .join(api_sessions, api_sessions.c.token_name == api_tokens.c.name)
        .where(api_sessions.c.hash == hash_of(secret), api_sessions.c.expires_at > now, *_valid(now))
    )
    return _line(await connection.execute(query))


async def end_session(connection: AsyncConnection, secret: str) -> None:
    """End a session."""
    await connection.execute(delete(api_sessions).where(api_sessions.c.hash == hash_of(secret)))


def _valid(now: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    return api_tokens.c.revoked_at.is_(None), api_tokens.c.expires_at > now


def _line(found: CursorResult[Any]) -> TokenLine | None:
    row = found.mappings().one_or_none()
    return None if row is None else TokenLine(**row)
