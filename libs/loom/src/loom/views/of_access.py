"""Shows who may ask and who did what, and lets tokens be made and alerts be acknowledged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loom.project.person import person
from loom.views.state import StateViews

if TYPE_CHECKING:
    from loom_coordinator.db.audit_log import AuditLine
    from loom_coordinator.db.sign_in.tokens import TokenLine
    from loom_coordinator.queries.alerts import AlertLine


class AccessViews(StateViews):
    """Shows tokens, the audit log and alerts."""

    async def acknowledge(self, alert_id: int, by: str) -> AlertLine:
        """Note that somebody has seen an alert, and return it. Raises `NotFound`."""
        from loom_coordinator.alerts import store
        from loom_coordinator.queries import alerts

        async with self._engine.begin() as connection:
            await store.acknowledge(connection, alert_id, by, dt.datetime.now(dt.UTC))
            return await alerts.find(connection, alert_id)

    async def create_token(self, name: str, user: str, scopes: Sequence[str], days: float) -> str:
        """Make a token of the API, and return it: it cannot be had again. Raises `ConfigurationError` where the name is
        taken."""
        from loom_coordinator.db import audit_log
        from loom_coordinator.db.audit_log import Act
        from loom_coordinator.db.sign_in import tokens

        now, by = dt.datetime.now(dt.UTC), person()
        async with self._engine.begin() as connection:
            secret = await tokens.create(connection, name, user, scopes, by, now, days)
            act = Act(by, None, "create token", f"tokens/{name}", {"user": user, "scopes": list(scopes), "days": days})
            await audit_log.note(connection, act, now, audit_log.DONE)
        return secret

    async def tokens(self) -> list[TokenLine]:
        """Return the tokens of the API, the newest first."""
        from loom_coordinator.db.sign_in import tokens

        async with self._engine.connect() as connection:
            return await tokens.listed(connection)

    async def revoke_token(self, name: str) -> None:
        """Let a token of the API be of no more use. Raises `NotFound`."""
        from loom_coordinator.db import audit_log
        from loom_coordinator.db.audit_log import Act
        from loom_coordinator.db.sign_in import tokens

        now = dt.datetime.now(dt.UTC)
        async with self._engine.begin() as connection:
            await tokens.revoke(connection, name, now)
            await audit_log.note(connection, Act(person(), None, "revoke token", f"tokens/{name}"), now, audit_log.DONE)

    async def audit_log(self, user: str | None, limit: int) -> list[AuditLine]:
        """Return what was done over HTTP, by a user or by all, the newest first."""
        from loom_coordinator.db import audit_log

        async with self._engine.connect() as connection:
            return await audit_log.page(connection, user, limit)
