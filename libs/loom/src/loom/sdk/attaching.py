"""Finds the run that an idempotency key has begun, and waits for its end in whatever process it goes on.

So code that is started again after its process was killed, as orchestrators do, goes on with its run."""

from __future__ import annotations

import asyncio

from loom.project.config import LoomConfig
from loom.sdk.following import Refused, nothing, report_of
from loom.session import EmbeddedSession, RunEngine
from loom.views import open_views
from loom_common.contracts.v1 import RunAccepted, RunReport, RunRequest
from loom_common.domain.run.statuses import ShownStatus
from loom_common.domain.values.ids import run_id_for
from loom_common.errors import ConfigurationError

_LOOK_SECONDS = 0.5
"""Says how often to look whether a run of another process has ended."""
_AT_WORK = (ShownStatus.QUEUED, ShownStatus.RUNNING)
_ENDED_WELL = (ShownStatus.SUCCEEDED, ShownStatus.PARTIAL)


class _BegunElsewhere(ConfigurationError):
    """Another process has begun the run of this key at the same moment."""


async def report_once(
    config: LoomConfig, request: RunRequest, pipeline: str, *, wait: bool, refused: Refused = nothing
) -> RunReport:
    """Start a run and return its report at its end, as `report_of` does; where another process has begun one by the
    same idempotency key meanwhile, return the report of that. Raises as `report_of` does."""
    try:
        return await report_of(config, lambda session: _begin(session, request), wait=wait, refused=refused)
    except _BegunElsewhere:
        assert request.idempotency_key is not None
        report = await attached(config, request.idempotency_key, pipeline)
        assert report is not None
        return report


async def attached(config: LoomConfig, key: str, pipeline: str) -> RunReport | None:
    """Return the report of the run that a request with this key has begun, at its end; None where there is none yet. A
    run that goes on elsewhere is waited for, and one that was interrupted, paused, cancelled or failed is gone on with.
    Raises `ConfigurationError` where the run is one of another pipeline."""
    run_id = run_id_for(key)
    async with open_views(config) as views:
        if (row := await views.row(run_id)) is None:
            return None
        if row.pipeline_name != pipeline:
            raise ConfigurationError(
                f"The idempotency key {key} has started {run_id} of the pipeline {row.pipeline_name}, and this request "
                f"is for {pipeline}. Give it a key of its own."
            )
        while True:
            status = await views.status(run_id)
            if status not in _AT_WORK:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if status in _ENDED_WELL:
            return await views.report(run_id)
    return await report_of(config, lambda session: session.resume(run_id), wait=False)


async def _begin(session: RunEngine, request: RunRequest) -> RunAccepted:
    """Start a run whose events come to this session. Raises `_BegunElsewhere` where a run of its idempotency key has
    been begun by another process since it was looked for."""
    accepted = await session.start(request)
    if request.idempotency_key is None:
        return accepted
    if isinstance(session, EmbeddedSession):
        if await session.is_elsewhere(accepted.run_id):
            raise _BegunElsewhere(f"Run {accepted.run_id} has begun in another process.")
    elif accepted.status not in _AT_WORK:
        raise ConfigurationError(
            f"Run {accepted.run_id} of this idempotency key is {accepted.status} on the cluster, and the state "
            "database of this project does not know it. Let `storage` in loom.yaml, or LOOM_STATE_URL, name that of "
            "the cluster."
        )
    return accepted
