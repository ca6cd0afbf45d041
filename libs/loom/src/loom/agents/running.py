"""Defines the tools by which an agent runs pipelines: one for each, and those that steer what was started."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from loom.agents.tool import Arguments, Tool, number, text
from loom.project import catalog
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.requests.runs import prepare
from loom.session import Asker, RunEngine, settled_report
from loom.views import open_views
from loom_common.contracts.v1 import RunFinished
from loom_common.errors import InvalidDefinition, LoomError

_MOST_RECORDS = 100
_AGENT = "mcp"
"""Names in lists of runs who asked for them."""
_TYPES = {"date": ("string", "date"), "datetime": ("string", "date-time")}
_WAIT = number(
    "How many seconds to wait for its end. A run that takes longer goes on; get_run tells where it stands.",
    most=3600,
    default=60,
    least=0,
)
_RUN = text("The run's id, such as run_6810de6cbd14.")
_BUDGET = {"type": "number", "exclusiveMinimum": 0, "description": "What the run may cost in all, in USD."}


class Runs:
    """Starts runs and waits for them. A run that is waited for no longer goes on."""

    def __init__(self, config: LoomConfig, session: RunEngine, budget: float | None) -> None:
        """`budget` is what any run may cost at most, in USD."""
        self._config = config
        self._session = session
        self._budget = budget
        self._followed: dict[str, asyncio.Task[None]] = {}

    def tools(self) -> list[Tool]:
        """Return the tools, with one for each pipeline that the project has now."""
        steering = [
            Tool(
                "resume_run",
                "Go on with a run that was paused, interrupted or has failed. What was paid for is not paid again.",
                self.resume,
                {"run_id": _RUN, "budget": _BUDGET, "wait_seconds": _WAIT},
                ("run_id",),
                reads_only=False,
            ),
            Tool(
                "cancel_run",
                "End a run before its time. Rows that are in its destination stay there.",
                self.cancel,
                {"run_id": _RUN},
                ("run_id",),
                reads_only=False,
            ),
        ]
        return [*_one_each(self._tool_of(entry) for entry in catalog.entries(self._config)), *steering]

    async def resume(self, asked: Arguments) -> dict[str, Any]:
        accepted = await self._session.resume(asked["run_id"], self._within(asked.get("budget")), by=Asker(_AGENT))
        return await self._waited(accepted.run_id, asked)

    async def cancel(self, asked: Arguments) -> dict[str, Any]:
        accepted = await self._session.cancel(asked["run_id"], by=Asker(_AGENT))
        return {"run_id": accepted.run_id, "status": accepted.status}

    async def run(self, loaded: LoadedPipeline, asked: Arguments) -> dict[str, Any]:
        """Run a pipeline over its source, into its destination or, with `sample`, beside it."""
        sample = asked.get("sample")
        params = dict(asked.get("params", {}))
        path = str(loaded.path)
        prepared = await prepare(path, self._config, params, sample=sample is not None, wait=False, say=lambda _: None)
        how = {"sample": sample, "budget": self._within(asked.get("budget")), "requested_by": _AGENT}
        accepted = await self._session.start(prepared.request.model_copy(update=how))
        return await self._waited(accepted.run_id, asked)

    async def run_over(self, loaded: LoadedPipeline, asked: Arguments) -> dict[str, Any]:
        """Run a pipeline over the records that the agent gives, and return the rows in place of loading them."""
        from loom.api import Loom

        project = Loom.of(self._config)
        result = await project.run_pipeline(
            project.load_pipeline(loaded.path),
            asked.get("params"),
            records=asked["records"],
            collect=True,
            budget=self._within(asked.get("budget")),
        )
        return {**result.report.model_dump(mode="json"), "rows": list(result.records())}

    def _tool_of(self, entry: catalog.Entry) -> Tool | None:
        try:
            loaded = catalog.find_file(str(entry.path), self._config)
        except (InvalidDefinition, LoomError):
            return None  # `list_pipelines` shows it, and a run of it would be refused

        async def call(asked: Arguments) -> dict[str, Any]:
            return await (self.run_over if "records" in asked else self.run)(loaded, asked)

        properties: dict[str, Any] = {
            "records": {
                "type": "array",
                "items": {"type": "object"},
                "minItems": 1,
                "maxItems": _MOST_RECORDS,
                "description": "Records to run it over in place of its source. Their rows are returned, not loaded.",
            },
            "sample": {
                "type": "integer",
                "minimum": 1,
                "description": "Run it over so many records of its source, and load them beside its destination.",
            },
            "budget": _BUDGET,
            "wait_seconds": _WAIT,
        }
        required: tuple[str, ...] = ()
        if loaded.pipeline.params:
            properties["params"], needed = _params(loaded)
            required = ("params",) if needed else ()
        about = f"{loaded.pipeline.description.rstrip('.')}. " if loaded.pipeline.description else ""
        words = f"{about}Runs the pipeline {entry.name} and waits for its report."
        return Tool(f"run_{entry.name}", words, call, properties, required, reads_only=False)

    def _within(self, asked: float | None) -> float | None:
        limits = [each for each in (asked, self._budget) if each is not None]
        return min(limits, default=None)

    async def _waited(self, run_id: str, asked: Arguments) -> dict[str, Any]:
        """Return a run's report, or where it stands when the time is over or it is paused."""
        task = self._followed.get(run_id)
        if task is None or task.done():
            task = self._followed[run_id] = asyncio.create_task(self._follow(run_id))
        await asyncio.wait([task], timeout=asked.get("wait_seconds", _WAIT["default"]))
        async with open_views(self._config) as views:
            found = await views.run(run_id)
        return {"run_id": run_id} if found is None else found.as_json()

    async def _follow(self, run_id: str) -> None:
        async for event in self._session.follow(run_id):
            if isinstance(event, RunFinished):
                await settled_report(self._config, event.report)
        self._followed.pop(run_id, None)


def _one_each(tools: Iterable[Tool | None]) -> list[Tool]:
    """Return the tools whose names no other has: of two pipelines of one name, none is meant by it."""
    made = [each for each in tools if each is not None]
    names = [each.name for each in made]
    return [each for each in made if names.count(each.name) == 1]


def _params(loaded: LoadedPipeline) -> tuple[Mapping[str, Any], bool]:
    """Return the schema of a pipeline's parameters, and whether one of them must be given."""
    properties, required = {}, []
    for name, spec in loaded.pipeline.params.items():
        kind, form = _TYPES.get(spec.type, (spec.type, None))
        properties[name] = {"type": kind, "description": spec.description} | ({"format": form} if form else {})
        if spec.default is None:
            required.append(name)
        else:
            properties[name]["default"] = spec.default
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return schema, bool(required)
