"""Opens the engine of a project, and says how its runs ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.engine import Watch
from loom.project.config import LoomConfig
from loom.session.engines import Opening, engine_named
from loom.session.port import RunEngine
from loom.views import open_views
from loom_common.contracts.v1 import RunReport
from loom_common.logs import logger
from loom_common.service.logging import configure_logging


@asynccontextmanager
async def open_session(
    config: LoomConfig,
    *,
    cluster: bool | None = None,
    wait: bool = False,
    follows: bool = True,
    watch: Watch | None = None,
) -> AsyncIterator[RunEngine]:
    """Open the engine that the project names. `cluster`: that of a cluster, or else one of this process, whatever it
    names. The rest is said by `Opening`. Raises `ConfigurationError` for an engine that is not there."""
    if cluster is not None:
        config = config.for_cluster() if cluster else config.in_this_process()
    opened = engine_named(config.engine_name)(config, Opening(wait, follows, watch))
    if not logger.is_set_up():  # the command line has done so; a notebook or a script has not
        configure_logging(config.settings().log.model_copy(update={"format": "console"}))
    async with opened as engine:
        yield engine


async def settled_report(config: LoomConfig, report: RunReport) -> RunReport:
    """Return the report of an embedded run that ended, once its session is closed. A run that ended before its time is
    told of at once; what the loader then put in place, or removed, is in the state database. A cluster's is as it was
    told."""
    if config.distributed or report.status == "succeeded":
        return report
    async with open_views(config) as views:
        return await views.report(report.run_id) or report
