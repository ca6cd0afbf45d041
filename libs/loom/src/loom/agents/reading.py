"""Defines the tools by which an agent looks at pipelines, runs and records. They change nothing and ask no model."""

from __future__ import annotations

from typing import Any

from loom.agents.tool import Arguments, Tool, number, text
from loom.pipeline_list import pipelines
from loom.project import catalog
from loom.project.config import LoomConfig
from loom.requests.estimates import estimated
from loom.views import open_views
from loom_common.errors import NotFound
from loom_quarantine.queries import RecordFilter

_PIPELINE = text("The pipeline's name, as list_pipelines gives it.")
_RUN = text("The run's id, such as run_6810de6cbd14.")
_LIMIT = number("How many to return, the newest first.", most=200, default=20)
_SAMPLED = 100
"""The records from which a cost is estimated."""


def reading_tools(config: LoomConfig) -> list[Tool]:
    """Return the tools that look at a project."""
    read = _Reader(config)
    return [
        Tool("list_pipelines", "List the project's pipelines, each with its file and its newest run.", read.pipelines),
        Tool(
            "estimate_cost",
            "Estimate what a run of a pipeline would cost, in USD, by its first records. No model is asked.",
            read.estimate,
            {"pipeline": _PIPELINE, "params": {"type": "object", "description": "The pipeline's parameters."}},
            ("pipeline",),
        ),
        Tool(
            "list_runs",
            "List runs with status, numbers of records and cost.",
            read.runs,
            {"pipeline": _PIPELINE, "limit": _LIMIT},
        ),
        Tool(
            "get_run",
            "Show a run: where it stands or its report, with records, scores, reasons of what was kept back, and cost.",
            read.run,
            {"run_id": _RUN},
            ("run_id",),
        ),
        Tool(
            "list_quarantined",
            "List records that did not get through, each with the stage and the reason.",
            read.quarantined,
            {"pipeline": _PIPELINE, "run_id": _RUN, "limit": _LIMIT},
        ),
        Tool(
            "get_record",
            "Show a quarantined record with all that is known: input, prompt, answer, scores and judges' reasons.",
            read.record,
            {"record_id": text("The record's id, as list_quarantined gives it."), "run_id": _RUN},
            ("record_id",),
        ),
    ]


class _Reader:
    def __init__(self, config: LoomConfig) -> None:
        self._config = config

    async def pipelines(self, _: Arguments) -> dict[str, Any]:
        async with open_views(self._config) as views:
            known = await views.pipelines()
        return {"pipelines": [each.as_json() for each in pipelines(self._config, known, self._config.project)]}

    async def estimate(self, asked: Arguments) -> dict[str, Any]:
        loaded = catalog.find(asked["pipeline"], self._config, by_name=True)
        assert not isinstance(loaded, str)  # no registered names were given
        return (await estimated(loaded, self._config, _SAMPLED, asked.get("params", {}))).document()

    async def runs(self, asked: Arguments) -> dict[str, Any]:
        async with open_views(self._config) as views:
            found = await views.history(asked.get("pipeline"), asked.get("limit", _LIMIT["default"]))
        return {"runs": [each.as_json() for each in found]}

    async def run(self, asked: Arguments) -> dict[str, Any]:
        async with open_views(self._config) as views:
            await views.known(asked["run_id"])
            found = await views.run(asked["run_id"])
        assert found is not None
        return found.as_json()

    async def quarantined(self, asked: Arguments) -> dict[str, Any]:
        chosen = RecordFilter(asked.get("pipeline"), asked.get("run_id"))
        async with open_views(self._config) as views:
            found = await views.quarantined(chosen, asked.get("limit", _LIMIT["default"]))
            of = await views.quarantined_number(chosen)
        return {"records": [each.as_json() for each in found], "number_in_all": of}

    async def record(self, asked: Arguments) -> dict[str, Any]:
        async with open_views(self._config) as views:
            found = await views.quarantined_record(asked["record_id"], asked.get("run_id"))
        if found is None:
            where = f" of run {asked['run_id']}" if asked.get("run_id") else ""
            raise NotFound(f"There is no record '{asked['record_id']}'{where} in the quarantine.")
        return found.as_json()
