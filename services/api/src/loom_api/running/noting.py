"""Notes in the audit log what somebody commands: before the command is given, and what came of it after."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from loom_common.async_engine import AsyncEngine
from loom_common.domain.access import Viewer
from loom_common.errors import LoomError
from loom_coordinator.db import audit_log
from loom_coordinator.db.audit_log import Act


async def note_denied(engine: AsyncEngine, viewer: Viewer, act: Act, run_id: str | None = None) -> str:
    """Note that somebody may not do something, and return the sentence that tells them."""
    async with engine.begin() as connection:
        await audit_log.note(connection, act, dt.datetime.now(dt.UTC), audit_log.DENIED, run_id)
    return f"{viewer.user} may not {act.action} {act.resource}, or the token is not for that."


@dataclass(slots=True)
class Noted:
    """Holds what becomes known of an act while it is done."""

    run_id: str | None
    line: int
    """Is the number of its line in the audit log."""


@asynccontextmanager
async def noted(
    engine: AsyncEngine,
    viewer: Viewer,
    action: str,
    resource: str,
    run_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> AsyncIterator[Noted]:
    """Note an act, which the block does. If the process ends meanwhile, it stays noted as asked."""
    said = {name: value for name, value in (details or {}).items() if value not in (None, {}, ())}
    act = Act(viewer.user, viewer.token_name, action, resource, said)
    async with engine.begin() as connection:
        number = await audit_log.note(connection, act, dt.datetime.now(dt.UTC), run_id=run_id)
    known = Noted(run_id, number)
    try:
        yield known
    except Exception as error:
        reason = str(error) if isinstance(error, LoomError) else type(error).__name__
        async with engine.begin() as connection:
            await audit_log.settle(connection, number, audit_log.FAILED, known.run_id, reason, unless_settled=True)
        raise
    async with engine.begin() as connection:
        await audit_log.settle(connection, number, audit_log.DONE, known.run_id, unless_settled=True)
