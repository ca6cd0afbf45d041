"""Scores outputs of runs again and compares runs, as `loom evaluate` and `loom diff` do."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from typing import Self

from starlette.exceptions import HTTPException

from loom.comparing import diff as comparing
from loom.comparing.diff import Diff
from loom.project.config import LoomConfig
from loom.rescoring.apply import apply as apply_score
from loom.rescoring.evaluate import evaluate, refuse_unended, told
from loom.rescoring.report import Rescored
from loom.rescoring.request import Asked
from loom_api.reads import Reads
from loom_api.running.noting import note_denied, noted
from loom_common.domain.access import Action, Kind, Viewer
from loom_common.errors import NotFound
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.outputs import rescorings
from loom_coordinator.db.outputs.rescorings import Rescoring


class Scoring:
    """Carries out what is asked, in a thread with an event loop of its own: it reads sources, imports code of the
    project, and takes as long as there are records."""

    def __init__(self, config: LoomConfig, reads: Reads) -> None:
        self._config = config
        self._reads = reads
        self._one = asyncio.Lock()
        """Lets one request at a time score, because one run is not to be applied twice at once."""

    def of(self, viewer: Viewer) -> Self:
        """Return what serves somebody."""
        mine = copy.copy(self)
        mine._reads = self._reads.of(viewer)
        return mine

    async def evaluate(
        self,
        run_id: str,
        thresholds: Mapping[str, float],
        evaluators: Sequence[str],
        *,
        budget: float | None,
        apply: bool,
        shown: int,
    ) -> Rescored:
        """Score the outputs of a run again, and note it; with `apply` load and withdraw what follows from it. Raises
        `HTTPException` where the user may not, `NotFound` and `ConfigurationError`."""
        run = await self._reads.known(run_id)
        refuse_unended(run)
        name = run.pipeline_name
        await self._demand(Kind.RUNS, Action.CONTROL, name, run_id)
        if apply:
            await self._demand(Kind.QUARANTINE, Action.REPLAY, name, run_id)
        asked = Asked(thresholds=dict(thresholds), evaluators=list(evaluators))
        said = {"thresholds": dict(thresholds), "evaluators": list(evaluators), "budget": budget}
        action = "apply scores" if apply else "evaluate"
        carry_out, user = apply_score if apply else evaluate, self._reads.viewer.user
        async with self._one, noted(self._reads.engine, self._reads.viewer, action, f"runs/{name}", run_id, said):
            return await asyncio.to_thread(
                lambda: asyncio.run(carry_out(self._config, run_id, asked, budget=budget, shown=shown, by=user))
            )

    async def stored(self, run_id: str, rescoring_id: str, shown: int) -> tuple[Rescoring, Rescored]:
        """Return what was scored before. Raises `NotFound` where it is not there, or another took its place."""
        await self._reads.known(run_id)
        async with self._reads.engine.connect() as connection:
            found = await rescorings.find(connection, rescoring_id)
        if found is None or found.run_id != run_id or found.report is None:
            raise NotFound(
                f"There is no scoring {rescoring_id} of run {run_id}: a later one has taken its place. Score it again."
            )
        return found, await told(self._reads.engine, rescoring_id, shown)

    async def diff(self, before: str, after: str, limit: int) -> Diff:
        """Compare two runs on the records that both have. Raises `HTTPException` where the user may not see the records
        of one, `NotFound` and `ConfigurationError`."""
        for run_id in (before, after):
            run = await self._reads.known(run_id)
            await self._demand(Kind.RUNS, Action.READ_DATA, run.pipeline_name, run_id)
            refuse_unended(run)
        return await asyncio.to_thread(lambda: asyncio.run(comparing.diff(self._config, before, after, limit=limit)))

    async def _demand(self, kind: Kind, action: Action, pipeline: str, run_id: str) -> None:
        viewer = self._reads.viewer
        if not viewer.may(kind, action, pipeline):
            act = Act(viewer.user, viewer.token_name, action.value, f"{kind.value}/{pipeline}")
            raise HTTPException(403, await note_denied(self._reads.engine, viewer, act, run_id))
