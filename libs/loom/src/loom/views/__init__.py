"""Run state as users ask for it: the queries of the coordinator and of the quarantine on one state database.

Only the queries on runs are imported with this module, because every command asks for runs, and few ask for anything
else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.project.config import LoomConfig
from loom.views.of_access import AccessViews
from loom.views.of_pipelines import PipelineViews
from loom.views.of_quarantine import QuarantineViews
from loom.views.of_runs import RunViews
from loom.views.of_spending import SpendingViews
from loom_migrations.engine import open_engine
from loom_migrations.trouble import told_plainly
from loom_migrations.upgrade import is_current, upgrade_all


class Views(RunViews, PipelineViews, SpendingViews, QuarantineViews, AccessViews):
    """Open with `open_views`. It knows which embedded engines of the project still run."""


@asynccontextmanager
async def open_views(config: LoomConfig) -> AsyncIterator[Views]:
    """Open views of the configured state database; it is brought to the newest schema first where it is not."""
    url = config.state_url
    engine = open_engine(url, reads=True)
    try:
        if not await is_current(engine):
            await upgrade_all([url])
        with told_plainly(engine.url):
            yield Views(engine, config)
    finally:
        await engine.dispose()
