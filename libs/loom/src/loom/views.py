"""Run state as users ask for it: read-only, straight from the state database, no service started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from loom import cost_views, kept_record
from loom.engine import alive
from loom.project.config import LoomConfig
from loom_common.contracts.v1 import RunAccepted, RunReport
from loom_common.errors import ConfigurationError
from loom_coordinator.accounting import tallies
from loom_coordinator.db.tables import pipeline_lineage, pipeline_runs, pipelines
from loom_coordinator.lifecycle import run_report as report
from loom_migrations.engine import open_engine
from loom_migrations.trouble import told_plainly
from loom_migrations.upgrade import is_current, upgrade_all
from loom_quarantine import queries
from loom_quarantine.queries import RecordFilter

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate

INTERRUPTED = "interrupted"
"""Shown for a run that says it is running, while the embedded engine that ran it is gone."""

_PAGE = 1000
"""Quarantined records read at once."""

_HISTORY = (
    "run_id",
    "pipeline_version",
    "status",
    "started_at",
    "completed_at",
    "duration_seconds",
    "records_processed",
    "records_validated",
    "records_rejected",
    "rejection_rate",
    "cost_total",
    "error_message",
    "sample",
)


class Views:
    """Open with `open_views`. Rows are plain dicts; times are ISO 8601 text."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig) -> None:
        self._engine = engine
        self._config = config

    async def row(self, run_id: str) -> RowMapping | None:
        """The run's row as it is stored."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(pipeline_runs).where(pipeline_runs.c.run_id == run_id))
            return rows.mappings().one_or_none()

    async def run(self, run_id: str) -> dict[str, Any] | None:
        """A run's report, with when it ran, with what, and what holds it up; None where there is no such run."""
        row, summary = await self.row(run_id), await self.report(run_id)
        if row is None or summary is None:
            return None
        return summary.model_dump() | {
            "status": self._status(row),
            "started_at": _plain(row["started_at"]),
            "completed_at": _plain(row["completed_at"]),
            "params": row["params"],
            "model": row["model"],
            "prompt_version": row["prompt_version"],
            "replay_of": row["replay_of"],
            "notice": row["notice"],
        }

    async def status(self, run_id: str) -> str | None:
        """A run's status, as people are shown it; None where there is no such run."""
        row = await self.row(run_id)
        return None if row is None else self._status(row)

    async def report(self, run_id: str) -> RunReport | None:
        """A run's report as far as it has come; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await report.of(connection, run_id)

    async def history(self, pipeline: str, limit: int) -> list[dict[str, Any]]:
        """The pipeline's runs, newest first."""
        statement = (
            select(pipeline_runs)
            .where(pipeline_runs.c.pipeline_name == pipeline)
            .order_by(pipeline_runs.c.started_at.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            counts = {row["run_id"]: await _counts_so_far(connection, row) for row in rows}
        return [
            {name: _plain(row[name]) for name in _HISTORY} | counts[row["run_id"]] | {"status": self._status(row)}
            for row in rows
        ]

    async def pipelines(self) -> list[dict[str, Any]]:
        """Every pipeline that has run here, with its newest run."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(pipelines).order_by(pipelines.c.name))).mappings().all()
        listed = []
        for row in rows:
            newest = await self.history(row["name"], 1)
            listed.append(
                {
                    "name": row["name"],
                    "version": row["version"],
                    "description": row["description"],
                    "last_run": newest[0]["run_id"] if newest else None,
                    "last_status": newest[0]["status"] if newest else None,
                    "last_started_at": newest[0]["started_at"] if newest else None,
                }
            )
        return listed

    async def lineage(self, pipeline: str, run_id: str | None) -> list[dict[str, Any]]:
        """From where to where, and what each stage let through: the named run, or the pipeline's newest ones."""
        statement = (
            select(pipeline_lineage, pipeline_runs)
            .join(pipeline_runs, pipeline_runs.c.run_id == pipeline_lineage.c.run_id)
            .where(pipeline_runs.c.pipeline_name == pipeline)
            .order_by(pipeline_runs.c.started_at.desc())
            .limit(10)
        )
        if run_id is not None:
            statement = statement.where(pipeline_runs.c.run_id == run_id)
        names = (
            "run_id",
            "input_source",
            "input_query",
            "input_record_count",
            "stages",
            "output_destination",
            "output_record_count",
            "pipeline_version",
            "model",
            "prompt_version",
            "context_versions",
            "replay_of",
            "status",
            "started_at",
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            replays = await self._replays(connection, [row["run_id"] for row in rows])
        return [{name: _plain(row[name]) for name in names} | {"replays": replays[row["run_id"]]} for row in rows]

    async def _replays(self, connection: AsyncConnection, run_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """The replays of each run, in the order they were started: id, status, records loaded."""
        found: dict[str, list[dict[str, Any]]] = {run_id: [] for run_id in run_ids}
        query = select(pipeline_runs).where(pipeline_runs.c.replay_of.in_(run_ids)).order_by(pipeline_runs.c.started_at)
        for row in (await connection.execute(query)).mappings():
            loaded = (row["tally"] or {}).get("loaded")
            found[row["replay_of"]].append({"run_id": row["run_id"], "status": self._status(row), "loaded": loaded})
        return found

    async def replayable(self, chosen: RecordFilter) -> queries.Standing:
        """Which of the records chosen a replay would take up, and why it would not take the others."""
        return await queries.standing(self._engine, chosen)

    async def quarantined(self, chosen: RecordFilter | None = None, limit: int | None = 50) -> list[dict[str, Any]]:
        """Records that did not get through, newest first, with stage, reason, data and scores."""
        return await queries.listing(self._engine, chosen or RecordFilter(), limit)

    async def quarantined_number(self, chosen: RecordFilter) -> int:
        """How many records are chosen."""
        return await queries.number_of(self._engine, chosen)

    async def number_of_runs(self, pipeline: str) -> int:
        """How many runs the pipeline had."""
        query = select(func.count()).select_from(pipeline_runs).where(pipeline_runs.c.pipeline_name == pipeline)
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def quarantined_ids(self, chosen: RecordFilter) -> tuple[str, ...]:
        """The ids of all records chosen."""
        rows = await queries.listing(self._engine, chosen, None, columns=("record_id",))
        return tuple(row["record_id"] for row in rows)

    async def quarantined_whole(self, chosen: RecordFilter) -> AsyncIterator[dict[str, Any]]:
        """Every column of every record chosen, newest first, a page at a time."""
        before = None
        while page := await queries.listing(self._engine, chosen, _PAGE, columns=queries.WHOLE, before=before):
            for row in page:
                yield row
            before = page[-1]["id"]

    async def quarantine_stats(self, chosen: RecordFilter) -> list[dict[str, Any]]:
        """How many records did not get through for what, and what became of them."""
        return await queries.stats(self._engine, chosen)

    async def quarantined_record(self, record_id: str, run_id: str | None = None) -> dict[str, Any] | None:
        """All that is known of one record that did not get through; None where there is none."""
        return await kept_record.account(self._engine, self._config, record_id, run_id)

    async def costs(self, pipeline: str, span: str) -> list[dict[str, Any]]:
        """What the pipeline's runs cost, by `day`, `week` or `month`, the newest first."""
        return await cost_views.by_span(self._engine, pipeline, span)

    async def answered(self, pipeline: str) -> dict[tuple[str, str], float]:
        """Tokens per answer in the pipeline's runs so far, by purpose and model."""
        return await cost_views.answered(self._engine, pipeline)

    async def keep_estimate(self, estimate: Estimate) -> None:
        """So that the next run can be held against it."""
        await cost_views.keep(self._engine, estimate)

    async def unfinished(self, pipeline: str) -> list[dict[str, Any]]:
        """Runs of the pipeline that were interrupted or paused: `loom resume` finishes them."""
        return [run for run in await self.history(pipeline, 50) if run["status"] in (INTERRUPTED, "paused")]

    async def want(self, run_id: str, verb: str) -> RunAccepted:
        """Leave word for the process that runs it; it is heeded within a second."""
        statement = update(pipeline_runs).where(pipeline_runs.c.run_id == run_id).values(wanted=verb)
        async with self._engine.begin() as connection:
            await connection.execute(statement)
        row = await self.row(run_id)
        if row is None:
            raise ConfigurationError(f"There is no run {run_id}.")
        return RunAccepted(run_id=run_id, pipeline=row["pipeline_name"], status=f"{verb} requested")

    def _status(self, row: RowMapping) -> str:
        gone = row["status"] == "running" and row["owner"] and not alive(self._config.project, row["owner"])
        return INTERRUPTED if gone else str(row["status"])


async def _counts_so_far(connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
    """The counts and the cost of a run that has not ended, which are written in its row only then."""
    if row["completed_at"] is not None and row["tally"]:
        return {}
    columns = tallies.columns(await tallies.tally(connection, row["run_id"]))
    return {name: columns[name] for name in _HISTORY if name in columns}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


@asynccontextmanager
async def open_views(config: LoomConfig) -> AsyncIterator[Views]:
    """Views of the configured state database; it is brought to the newest schema first where it is not."""
    url = config.settings().state.url.get_secret_value()
    engine = open_engine(url, read_only=True)
    try:
        if not await is_current(engine):
            await upgrade_all([url])
        with told_plainly(engine.url):
            yield Views(engine, config)
    finally:
        await engine.dispose()
