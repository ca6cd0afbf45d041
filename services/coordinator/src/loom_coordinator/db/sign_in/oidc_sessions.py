"""Keeps the sessions of the console that were opened at an OpenID provider, by their hashes alone."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from loom_common.async_engine import AsyncConnection
from loom_coordinator.db.sign_in.tokens import hash_of
from loom_coordinator.db.tables.access import oidc_sessions as table
from loom_migrations.upserts import inserting

PREFIX = "oidc_"
"""Stands before the secret of such a session, and of no other."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Represents who signed in."""

    user: str
    groups: Sequence[str]
    issuer: str
    """The provider that said so."""
    subject: str
    """Is what the provider calls them, whatever their name is."""


async def open_session(
    connection: AsyncConnection, login: str, signed_in: SignedIn, now: dt.datetime, seconds: float
) -> str | None:
    """Open a session, and return its secret; None where the same attempt to sign in, which `login` names, opened one
    before. Sessions that have ended are removed."""
    secret = PREFIX + secrets.token_urlsafe(32)
    await connection.execute(delete(table).where(table.c.expires_at < now))
    values = {
        "hash": hash_of(secret),
        "login": hash_of(login),
        "user": signed_in.user,
        "groups": list(signed_in.groups),
        "issuer": signed_in.issuer,
        "subject": signed_in.subject,
        "created_at": now,
        "expires_at": now + dt.timedelta(seconds=seconds),
    }
    entered = inserting(connection.dialect.name, table).values(**values).on_conflict_do_nothing()
    opened = (await connection.execute(entered.returning(table.c.hash))).scalar_one_or_none()
    return secret if opened is not None else None


async def find(connection: AsyncConnection, secret: str, issuer: str, now: dt.datetime) -> SignedIn | None:
    """Return who has a session; None where it has ended, or another provider than `issuer` opened it."""
    columns = (table.c.user, table.c.groups, table.c.issuer, table.c.subject)
    chosen = (table.c.hash == hash_of(secret), table.c.issuer == issuer, table.c.expires_at > now)
    row = (await connection.execute(select(*columns).where(*chosen))).mappings().one_or_none()
    return None if row is None else SignedIn(**row)


async def end(connection: AsyncConnection, secret: str) -> None:
    """End a session."""
    await connection.execute(delete(table).where(table.c.hash == hash_of(secret)))
