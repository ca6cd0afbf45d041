"""Follows runs in Airflow's triggerer, so that no worker waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from loom_airflow.api import LoomApi, LoomApiAway, LoomApiError
from loom_airflow.hooks import LoomHook
from loom_airflow.reports import AT_WORK, progress


class LoomRunTrigger(BaseTrigger):
    """Fires once a run does not go on by itself any more: it has ended, or is paused or interrupted. The event has its
    `report`, or an `error`."""

    def __init__(
        self,
        run_id: str,
        loom_conn_id: str = LoomHook.default_conn_name,
        *,
        poll_interval: float = 10.0,
        patience: float = 600.0,
        cancel_on_kill: bool = True,
    ) -> None:
        """Take how often to ask, and for how long an API that is away is asked again, in seconds."""
        super().__init__()
        self.run_id = run_id
        self.loom_conn_id = loom_conn_id
        self.poll_interval = poll_interval
        self.patience = patience
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another triggerer makes this trigger of: no token is among it."""
        names = ("run_id", "loom_conn_id", "poll_interval", "patience", "cancel_on_kill")
        return "loom_airflow.triggers.LoomRunTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the report of the run when it has ended, or why nobody can be asked for it."""
        said = ""
        try:
            api = await LoomHook(self.loom_conn_id).aget_conn()
            while (report := await self._report(api))["status"] in AT_WORK:
                if (now := progress(report)) != said:
                    self.log.info(now)
                    said = now
                await asyncio.sleep(self.poll_interval)
            yield TriggerEvent({"report": report})
        except (LoomApiError, LoomApiAway, ValueError) as error:
            yield TriggerEvent({"error": str(error)})

    async def on_kill(self) -> None:
        """End the run where somebody has ended or cleared the task. What it loaded stays; a retry goes on with it."""
        if self.cancel_on_kill:
            await (await LoomHook(self.loom_conn_id).aget_conn()).acancel(self.run_id)

    async def _report(self, api: LoomApi) -> dict[str, Any]:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return await api.arun(self.run_id)
            except LoomApiAway as away:
                if time.monotonic() > deadline:
                    raise
                self.log.warning("%s It is asked again.", away)
                await asyncio.sleep(max(away.after, self.poll_interval))
