"""Asks a real Prometheus, which scraped real runs, what the panels of deploy/grafana ask it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from ruamel.yaml import YAML

from loom.project.config import LoomConfig
from loom.session import conversation
from loom_common.config.settings import TracingSettings
from loom_common.contracts.v1 import RegisterPipeline
from loom_dev.backends.ports import reserve_port
from loom_dev.programs import prometheus
from loom_dev.waiting import within
from support.clients import ended, request_of
from support.in_one_process import services
from support.projects import ai, project
from support.simulated_model import SimulatedModel
from support.span_collector import collector

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
VARIABLES = {"$__rate_interval": "5m", "$__range": "5m", "$pipeline": ".*"}
WITH_EXEMPLARS = ("loom_handle_seconds", "loom_evaluation_score", "loom_pipeline_duration_seconds")
JUDGED = {"field": "mood", "reference_field": "review", "threshold": 0.1}


def queries() -> Iterator[tuple[str, str]]:
    """Yield each chart, and each query of it with the variables set as Grafana sets them."""
    for board in BOARDS.values():
        for chart in board["panels"]:
            for target in chart["targets"]:
                query = target["expr"]
                for name, value in VARIABLES.items():
                    query = query.replace(name, value)
                yield f"{board['title']}: {chart['title']}", query


def test_every_dashboard_is_one_that_grafana_provisions():
    assert sorted(BOARDS) == ["loom-fleet", "loom-models", "loom-money", "loom-pipelines"]
    for name, board in BOARDS.items():
        assert board["uid"] == name
        asked = [target["datasource"]["uid"] for chart in board["panels"] for target in chart["targets"]]
        assert set(asked) == {"${datasource}"}
        assert {each["name"] for each in board["templating"]["list"]} >= {"datasource"}
        ids = [chart["id"] for chart in board["panels"]]
        assert len(ids) == len(set(ids))
        assert all(chart["title"] and chart["description"] for chart in board["panels"])
    [provider] = YAML(typ="safe").load(GRAFANA / "provisioning" / "dashboards" / "loom.yaml")["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/etc/grafana/dashboards/loom")


@contextmanager
def scraping(folder: Path, target: int) -> Iterator[str]:
    """Run a Prometheus that scrapes a port of this machine, and give its address."""
    port = reserve_port()
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "loom", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [
        *prometheus(folder),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


async def answered(session: aiohttp.ClientSession, url: str, query: str) -> list[dict[str, Any]]:
    """Return the series that a query gives, those with a number; none while Prometheus does not answer."""
    try:
        async with session.get(f"{url}/query", params={"query": query}) as response:
            said = await response.json()
    except (aiohttp.ClientError, ValueError):
        return []
    if said["status"] != "success":
        assert response.status >= 500, said
        return []
    return [each for each in said["data"]["result"] if math.isfinite(float(each["value"][1]))]


async def traces_at(session: aiohttp.ClientSession, url: str, metric: str) -> set[str]:
    """Return the traces that exemplars of a histogram point to."""
    now = time.time()
    asked = {"query": metric, "start": f"{now - 3600}", "end": f"{now + 3600}"}
    async with session.get(f"{url}/query_exemplars", params=asked) as response:
        said = await response.json()
    return {each["labels"]["trace_id"] for series in said["data"] for each in series["exemplars"]}


async def test_no_panel_is_empty_after_a_run_and_its_histograms_lead_to_traces(tmp_path):
    found: dict[str, str] = dict(queries())
    assert len(found) > 30
    async with (
        SimulatedModel() as model,
        collector() as received,
        services(tmp_path, tracing=TracingSettings(endpoint=received.url)) as platform,
        aiohttp.ClientSession() as session,
    ):
        model.latency = 0.02
        (tmp_path / "loom.yaml").write_text("mode: embedded\n")
        made = project(
            tmp_path / "seen",
            30,
            name="seen",
            transform=ai(model.base_url, max_tokens=40),
            evaluate={
                "model": "gpt-4o",
                "base_url": model.base_url,
                "evaluators": [{"type": "custom_criteria", "criteria": "Fits", **JUDGED}],
            },
            extract={"batch_size": 5},
        )
        port = platform.settings.health.port
        assert port is not None
        with scraping(tmp_path, port) as url:
            async with conversation(platform.bus) as client:
                asked = request_of(made, LoomConfig.load(tmp_path / "loom.yaml"))
                assert asked.definition is not None
                await client.register(RegisterPipeline(definition=asked.definition, files=asked.files, base=asked.base))
                async with within(30):
                    while not await answered(session, url, 'loom_pipeline_runs_total{pipeline_name="seen"}'):
                        await asyncio.sleep(0.1)
                ran, empty = 0, ["not asked yet"]
                async with within(60):
                    while empty:  # on a busy machine a whole run may lie between two scrapes
                        accepted = await client.start(asked.model_copy(update={"reuse": False}))
                        assert (await ended(client, accepted.run_id)).report.status == "succeeded"
                        ran += 1
                        empty = [chart for chart, query in queries() if not await answered(session, url, query)]
            assert empty == []
            async with within(30):
                while not await answered(
                    session, url, f'sum by (pipeline_name) (loom_pipeline_runs_total{{status="succeeded"}}) == {ran}'
                ):
                    await asyncio.sleep(0.1)
            [cost] = await answered(session, url, "sum(loom_cost_total_dollars) - sum(loom_model_cost_dollars_total)")
            assert abs(float(cost["value"][1])) < 1e-9
            led = [await traces_at(session, url, f"{name}_bucket") for name in WITH_EXEMPLARS]
    recorded = {each.trace_id.hex() for each in received.named("run seen")}
    assert len(recorded) == ran
    for name, traces in zip(WITH_EXEMPLARS, led, strict=True):
        assert traces, name
        assert traces <= recorded, name
