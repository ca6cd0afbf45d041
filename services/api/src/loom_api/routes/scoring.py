"""Declares the routes that score runs again and compare them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from loom.comparing.diff import Diff
from loom.rescoring.report import Rescored
from loom_api.bodies import EvaluateOptions
from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.http.idempotency import IdempotencyKey, once
from loom_api.http.problems import documented
from loom_api.running.scoring import Scoring
from loom_api.source import Source

_SHOWN = 100
Shown = Annotated[int, Query(ge=1, le=10_000, description="At most so many records of each kind are named.")]


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("runs", route_class=TaggedRoute, responses=documented(404))
    starting = Routes("runs", route_class=once(source.requests), responses=documented(404, 409))
    serving = Depends(source.scoring)

    @routes.get("/runs/{run_id}/diff/{other}", response_model=Diff)
    async def diff_runs(run_id: str, other: str, limit: Shown = 20, scoring: Scoring = serving) -> Json:
        """Compare a run with another one on the records that both have: outputs, verdicts, scores, cost and latency. No
        model is asked for anything."""
        return Json(await scoring.diff(run_id, other, limit))

    @starting.post("/runs/{run_id}/evaluate", response_model=Rescored)
    async def evaluate_run(
        run_id: str,
        options: EvaluateOptions | None = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        scoring: Scoring = serving,
    ) -> Json:
        """Score the outputs of a run again, and name the records whose verdict changes. With `apply`, records that pass
        now are loaded, and rows of records that no longer do are withdrawn. The answer comes when that is done."""
        asked = options or EvaluateOptions()
        return Json(
            await scoring.evaluate(
                run_id, asked.thresholds, asked.evaluators, budget=asked.budget, apply=asked.apply, shown=asked.limit
            )
        )

    routes.extend(starting)
    return routes
