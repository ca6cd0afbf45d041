"""Notes who did what. What a message to the coordinator does is noted before it is sent, so that nothing is done that
is not noted, and its outcome in the transaction in which it is carried out; what one transaction does is noted in that
transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select, update

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.access import audit_log as table

ASKED, DONE, FAILED, DENIED = "asked", "done", "failed", "denied"


@dataclass(frozen=True, slots=True)
class Act:
    """Says who does what."""

    user: str
    token_name: str | None
    """The name of the token that it was asked with; None where access is not controlled."""
    action: str
    resource: str
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AuditLine(Shown):
    """Describes what somebody did."""

    id: int
    """Rises with every line."""
    at: dt.datetime
    user: str
    token_name: str | None
    action: str
    resource: str
    details: Mapping[str, Any] | None
    outcome: str
    """`done`, `failed` or `denied`; `asked` where it is not known, because a process ended meanwhile."""
    reason: str | None
    """Says why it failed."""
    run_id: str | None
    """The run that it started, or that it was done to."""


async def note(
    connection: AsyncConnection, act: Act, now: dt.datetime, outcome: str = ASKED, run_id: str | None = None
) -> int:
    """Note an act, and return the number of its line."""
    values = {
        "at": now,
        "user": act.user[:255],
        "token_name": act.token_name,
        "action": act.action,
        "resource": act.resource[:600],
        "details": dict(act.details) if act.details else None,
        "outcome": outcome,
        "run_id": run_id,
    }
    return int((await connection.execute(table.insert().values(**values).returning(table.c.id))).scalar_one())


async def settle(
    connection: AsyncConnection,
    number: int,
    outcome: str,
    run_id: str | None = None,
    reason: str | None = None,
    *,
    unless_settled: bool = False,
) -> None:
    """Note the outcome of an act; `unless_settled`, where none is noted yet: whoever carried it out knows better than
    whoever waited for that."""
    values = {"outcome": outcome, "reason": reason, **({} if run_id is None else {"run_id": run_id})}
    chosen = [table.c.id == number, *([table.c.outcome == ASKED] if unless_settled else [])]
    await connection.execute(update(table).where(*chosen).values(**values))


async def page(connection: AsyncConnection, user: str | None, limit: int, before: int | None = None) -> list[AuditLine]:
    """Return the newest lines, of a user or of all, at most `limit`. `before` is the number of the last line of the
    page before, which is continued."""
    chosen = [*([] if user is None else [table.c.user == user]), *([] if before is None else [table.c.id < before])]
    columns = (table.c[field.name] for field in fields(AuditLine))
    statement = select(*columns).where(*chosen).order_by(table.c.id.desc()).limit(limit)
    return [AuditLine(**row) for row in (await connection.execute(statement)).mappings()]
