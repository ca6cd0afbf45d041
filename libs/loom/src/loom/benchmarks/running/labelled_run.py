"""Runs one candidate over the labelled records, and collects what came of each."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from loom.benchmarks.running.candidates import Candidate, Setting, definition_of_run
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline, built
from loom.project.person import person
from loom.session import RunEngine, settled_report
from loom.stored_records import stored
from loom.views import Views, open_views
from loom_common.contracts.v1 import RunFinished, RunProgress, RunReport, RunRequest
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.json_values.exact_json import loads
from loom_common.errors import PermanentError
from loom_connectors.ports.source import ReadRecord
from loom_quarantine.queries import RecordFilter

_FOLDER = Path(".loom/results")
_PAGE = 1_000

Show = Callable[[RunProgress], None]


@dataclass(frozen=True, slots=True)
class CandidateRun:
    """Holds what came of the labelled records in the run of one candidate."""

    candidate: Candidate
    report: RunReport
    loaded: LoadedPipeline
    """The definition that was run."""
    outputs: Mapping[str, Mapping[str, Any]]
    """Holds the outputs by the ids of their records."""
    failures: Mapping[str, str]
    """Says why other records have none."""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Holds the evaluators' scores by the ids of their records."""
    stopped: str | None = None
    """Says why records were left out, where the run did not come to its end."""


async def carry_out(
    session: RunEngine,
    config: LoomConfig,
    candidate: Candidate,
    records: Sequence[ReadRecord],
    setting: Setting,
    *,
    params: Mapping[str, Any],
    budget: float | None,
    begun: Callable[[str], None],
    show: Show,
) -> CandidateRun:
    """Run a candidate. Nothing is loaded but into a file of the project's state, which is removed afterwards. A run
    that is paused, because its budget is spent, is cancelled: what it paid for is in the journal.

    Raises `ConfigurationError` where it cannot start, and `PermanentError` where it failed as a whole."""
    folder = config.project.resolve() / _FOLDER / uuid4().hex
    path = folder / "outputs.jsonl"
    definition = definition_of_run(candidate, setting, path)
    loaded = built(definition, candidate.loaded.path, config.allowed)

    async def given() -> AsyncGenerator[ReadRecord, None]:
        for record in records:
            yield record

    try:
        async with stored(config, given(), loaded.pipeline) as (name, remove):
            request = RunRequest(
                definition=definition,
                files=loaded.files,
                base=config.base_of(loaded.folder),
                params=dict(params),
                records=name,
                budget=budget,
                requested_by=person(),
            )
            try:
                report, stopped = await _followed(session, config, request, begun, show)
            finally:
                await remove()
        async with open_views(config) as views:
            failures = await _failures(views, report.run_id)
            scores = await _scores(views, report.run_id) if "evaluate" in definition else {}
        if report.status == "failed" and not failures:
            raise PermanentError(f"{candidate.name}: the run {report.run_id} failed. {report.error or ''}".rstrip())
        return CandidateRun(
            candidate=candidate,
            report=report,
            loaded=loaded,
            outputs=_outputs(path, loaded.pipeline.extract.keys),
            failures=failures,
            scores=scores,
            stopped=stopped,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _followed(
    session: RunEngine, config: LoomConfig, request: RunRequest, begun: Callable[[str], None], show: Show
) -> tuple[RunReport, str | None]:
    """Return the report of the run, and why it was cut short, where it was."""
    accepted = await session.start(request)
    begun(accepted.run_id)
    stopped = None
    try:
        while True:
            async for event in session.follow(accepted.run_id):
                if isinstance(event, RunFinished):
                    return await settled_report(config, event.report), stopped
                show(event)
                if event.status == "paused" and stopped is None:
                    exhausted = event.reason == "budget_exhausted"
                    stopped = "the budget is spent" if exhausted else event.notice or "the run was paused"
                    await session.cancel(accepted.run_id)
    except BaseException:
        await session.cancel(accepted.run_id)
        raise


def _outputs(path: Path, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as stream:
        rows = [loads(line) for line in stream]
    return {key_of(row, keys): row for row in rows}


async def _failures(views: Views, run_id: str) -> dict[str, str]:
    kept = await views.quarantined(RecordFilter(run_id=run_id), None)
    return {each.record_id: each.failure_reason for each in kept}


async def _scores(views: Views, run_id: str) -> dict[str, dict[str, float]]:
    from loom_coordinator.queries import records

    found: dict[str, dict[str, float]] = {}
    after: str | None = None
    async with views.engine.connect() as connection:
        while page := await records.scored(connection, run_id, _PAGE, after):
            for each in page:
                found[each.record_id] = {
                    said.evaluator_name: said.score for said in each.scores if said.score is not None
                }
            after = page[-1].record_id
    return found
