"""Fills a state database with one run of everything that the API shows, and asks the API without a server."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from loom.project.config import LoomConfig
from loom_api import app
from loom_api.running.sessions import EmbeddedSessions, of_cluster
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import BatchFact, BatchHeader
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.db.tables.outcomes import evaluation_results, record_answers, record_evaluations, run_calls
from loom_coordinator.db.tables.runs import context_versions, prompt_versions
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from loom_quarantine.db import store
from support.quarantined import kept, message
from support.run_rows import NOW, add_run, apply, begun_run, the_run

RUN = "run_1"
LATEST = "run_3"
SCORED = ("r1", "r2", "r3")
KEPT = ("r2", "r3")


async def fill_file(path: Path) -> None:
    """Make a state file, and fill it."""
    engine = open_engine(f"sqlite:///{path}")
    try:
        await upgrade(engine)
        await fill(engine)
    finally:
        await engine.dispose()


async def fill(engine: AsyncEngine) -> None:
    """Write three runs, of which the first has batches, scores, costs, alerts and records that were kept back."""
    async with begun_run(engine, params={"day": "2026-01-01"}) as unit:
        await apply(unit, _batch(0, Stage.LOAD), _batch(1, Stage.LOAD), _batch(2, Stage.TRANSFORM))
        await add_run(unit, run_id="run_2", started_at=NOW + dt.timedelta(hours=1), status="failed")
        await add_run(unit, run_id=LATEST, started_at=NOW + dt.timedelta(hours=2), owner="engine-gone")
        await _evaluate(unit)
        await _spend(unit)
        await _alert(unit)
        await tallies.enter_lineage(unit, await the_run(unit), Tally(extracted=9, transformed=9, passed=4, loaded=4))
        answers = [("r1", "cheap", "gpt-4o-mini"), ("r2", "dear", "gpt-4o")]
        for record, tier, name in answers:
            row = {"run_id": RUN, "record_id": record, "tier": tier, "answered_by": name}
            await unit.connection.execute(record_answers.insert().values(**row))
    await _texts(engine)
    await store.keep(engine, message(*(kept(each, scores={"exact": 0.0}) for each in KEPT), run_id=RUN), NOW)


def _batch(position: int, stage: Stage) -> BatchFact:
    ended = {"passed": 2, "loaded": 2} if stage is Stage.LOAD else {}
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, position), partition=0, slice=0,
        position=position, tally=Tally(extracted=2, transformed=2, **ended),
    )  # fmt: skip
    return BatchFact(header=header, stage=stage, seconds=0.1)


async def _evaluate(unit: UnitOfWork) -> None:
    summary = {
        "run_id": RUN, "evaluator_name": "exact", "evaluator_type": "exact_match", "mean_score": 0.3, "std_score": 0.4,
        "min_score": 0.0, "max_score": 1.0, "threshold": 1.0, "pass_rate": 0.3, "passed": False, "created_at": NOW,
    }  # fmt: skip
    await unit.connection.execute(evaluation_results.insert().values(**summary))
    for record, score in zip(SCORED, (1.0, 0.0, 0.0), strict=True):
        said = {"run_id": RUN, "record_id": record, "evaluator_name": "exact", "score": score, "passed": score == 1.0}
        await unit.connection.execute(record_evaluations.insert().values(**said, evaluated_at=NOW))


async def _spend(unit: UnitOfWork) -> None:
    calls = Calls(purpose="transform", provider="openai", model="m", made=3, tokens_in=30, tokens_out=6, cost=0.5)
    values = {"run_id": RUN, "date": NOW.date(), "stage": "transform", **calls.model_dump()}
    await unit.connection.execute(run_calls.insert().values(**values))


async def _texts(engine: AsyncEngine) -> None:
    """Enter two versions of the prompt and of a context file."""
    async with engine.begin() as connection:
        for number, digit in enumerate("ab"):
            row = {
                "version": digit * 12, "content_hash": digit * 64, "content": f"Good or bad?\nVersion {number}",
                "created_at": NOW + dt.timedelta(minutes=number),
            }  # fmt: skip
            await connection.execute(prompt_versions.insert().values(prompt_name="p/ask.txt", **row))
            await connection.execute(context_versions.insert().values(context_name="p/context/words.md", **row))


async def _alert(unit: UnitOfWork) -> None:
    for subject in ("exact", "cost"):
        values = {
            "pipeline_name": "p", "run_id": RUN, "alert_type": "pass_rate", "subject": subject, "severity": "warning",
            "message": "30% passed", "triggered_at": NOW, "acknowledged": subject == "cost",
            "notification_url": "https://hooks.example/T0K3N",
        }  # fmt: skip
        await unit.connection.execute(monitoring_alerts.insert().values(**values))


def application(
    engine: AsyncEngine,
    bus: Any = None,
    policies: list[dict[str, Any]] | None = None,
    oidc: dict[str, Any] | None = None,
    **settings: Any,
) -> FastAPI:
    """Return the API over a state database, for the project in the working directory."""
    project = LoomConfig.model_validate({"access": {"policies": policies or [], "oidc": oidc}})
    config = project if bus is None else project.for_cluster()
    sessions = EmbeddedSessions(config) if bus is None else of_cluster(bus)
    return app.build(Source(engine, config, bus, sessions), ApiSettings(**settings))


@asynccontextmanager
async def client_of(api: FastAPI, host: str = "localhost") -> AsyncIterator[httpx.AsyncClient]:
    """Open a client that calls the application in this process."""
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}/api/v1") as client:
        yield client


async def json_of(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """Return what is answered, which has to be JSON."""
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def pages_of(client: httpx.AsyncClient, path: str, **query: Any) -> list[list[Any]]:
    """Return the items of each page, from the first to the last."""
    pages: list[list[Any]] = []
    after: dict[str, Any] = {}
    while True:
        document = await json_of(client, path, **query, **after)
        pages.append(document["items"])
        if document["next"] is None:
            return pages
        after = {"after": document["next"]}
