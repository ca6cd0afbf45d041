"""Talks to `loom mcp` as an agent does: pipelines are tools, runs are resources, and mistakes are answers."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import pytest
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic import AnyUrl

from loom.agents.reading import reading_tools
from loom.agents.running import Runs
from loom.agents.server import server_of
from loom.project.config import LoomConfig
from loom.session import open_session
from support.projects import ai, project, python

CODE = """
def judged(record):
    print("this is no message of the protocol")
    if record["id"] == "r000003":
        raise ValueError("no third")
    return {"mood": "good"}
"""
GIVEN = [{"id": "a", "review": "Fine — ‘π’", "stars": "1"}, {"id": "r000003", "review": "x", "stars": "2"}]


def listed(folder, *arguments: Any, **changes: Any):
    """Write a project whose pipeline is found by its name."""
    made = project(folder, *arguments, **changes)
    made.pipeline.write_text("".join(f"{key}: {json.dumps(each)}\n" for key, each in made.definition.items()))
    (folder / "loom.yaml").write_text("pipelines: ['.']")
    return made


@contextlib.asynccontextmanager
async def agent(folder, budget: float | None = None):
    """Open the conversation of an agent with a server in this process."""
    config = LoomConfig.load(folder / "loom.yaml")
    async with open_session(config, cluster=False) as session:
        runs = Runs(config, session, budget)
        server = server_of(config, lambda: [*reading_tools(config), *runs.tools()])
        async with create_connected_server_and_client_session(server) as client:
            yield client


async def answer(client: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    said = await client.call_tool(tool, arguments)
    assert not said.isError, said.content
    assert said.structuredContent is not None
    return said.structuredContent


async def refused(client: ClientSession, tool: str, **arguments: Any) -> str:
    said = await client.call_tool(tool, arguments)
    assert said.isError
    return said.content[0].text


async def test_a_process_speaks_the_protocol_whatever_user_code_prints(tmp_path):
    made = listed(tmp_path, 10, transform=python(), code=CODE)
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "loom", "mcp", "--read-only"], cwd=tmp_path, env=dict(os.environ)
    )
    async with stdio_client(server) as streams, ClientSession(*streams) as client:
        assert (await client.initialize()).serverInfo.name == "loom"
        assert all(each.annotations.readOnlyHint for each in (await client.list_tools()).tools)
        assert "There is no tool named 'run_reviews'" in await refused(client, "run_reviews")
    server.args.remove("--read-only")
    async with stdio_client(server) as streams, ClientSession(*streams) as client:
        await client.initialize()
        report = await answer(client, "run_reviews", wait_seconds=600)
    assert (report["status"], report["records"]["loaded"]) == ("succeeded", 9)
    assert len(await made.loaded()) == 9


async def test_records_that_are_given_come_back_as_rows_and_nothing_is_loaded(tmp_path):
    made = listed(tmp_path, 10, transform=python(), code=CODE, extract={"key": "id"})
    async with agent(tmp_path) as client:
        report = await answer(client, "run_reviews", records=GIVEN)
        kept = await answer(client, "list_quarantined", run_id=report["run_id"])
        story = await answer(client, "get_record", record_id="r000003")
    assert [row["mood"] for row in report["rows"]] == ["good"]
    assert not made.path(made.destination).exists()
    assert (kept["number_in_all"], kept["records"][0]["record_id"]) == (1, "r000003")
    assert "no third" in str(story)


async def test_runs_and_their_lineage_are_resources(tmp_path):
    listed(tmp_path, 10, transform=python(), code=CODE)
    async with agent(tmp_path) as client:
        report = await answer(client, "run_reviews", sample=2)
        (run,) = (await client.list_resources()).resources
        assert str(run.uri) == f"loom://runs/{report['run_id']}"
        told = (await client.read_resource(run.uri)).contents[0]
        assert (told.mimeType, report["run_id"] in told.text) == ("application/json", True)
        assert "reviews.csv" in (await client.read_resource(AnyUrl(f"{run.uri}/lineage"))).contents[0].text
        with pytest.raises(McpError, match="There is no run none"):
            await client.read_resource(AnyUrl("loom://runs/none"))
        assert [each["run_id"] for each in (await answer(client, "list_runs"))["runs"]] == [report["run_id"]]
        known = await answer(client, "list_pipelines")
    assert [each["last_status"] for each in known["pipelines"]] == ["succeeded"]


async def test_no_agent_spends_more_than_the_bound(tmp_path, model):
    made = listed(tmp_path, 200, transform=ai(model.base_url, max_tokens=100), extract={"batch_size": 10})
    async with agent(tmp_path, budget=0.001) as client:
        estimate = await answer(client, "estimate_cost", pipeline="reviews")
        assert (estimate["cost"]["total"] > 0.001, model.calls) == (True, 0)
        paused = await answer(client, "run_reviews", budget=5, wait_seconds=600)
        assert (paused["status"], paused["reason"]) == ("paused", "budget_exhausted")
        assert 0 < paused["cost"]["total"] <= 0.001
        again = await answer(client, "resume_run", run_id=paused["run_id"], budget=5, wait_seconds=600)
        assert (again["status"], again["cost"]["total"] <= 0.001) == ("paused", True)
        assert (await answer(client, "cancel_run", run_id=paused["run_id"]))["status"] == "cancelled"
    assert not made.path(made.destination).exists()


async def test_arguments_that_do_not_fit_are_told(tmp_path):
    made = listed(tmp_path, 10)
    made.pipeline.write_text(made.pipeline.read_text() + "params: {day: {type: date}}\n")
    (tmp_path / "broken.yaml").write_text("name: broken\nextract: {sauce: a.csv}\n")
    async with agent(tmp_path) as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        assert tools["run_reviews"].inputSchema["properties"]["params"]["required"] == ["day"]
        assert "'params' is a required property" in await refused(client, "run_reviews")
        assert "expected a date" in await refused(client, "run_reviews", params={"day": "soon"})
        assert "'sampel' was unexpected" in await refused(client, "run_reviews", params={"day": "2024-01-01"}, sampel=1)
        assert "There is no run run_x" in await refused(client, "get_run", run_id="run_x")
        assert "There is no pipeline named 'nope'" in await refused(client, "estimate_cost", pipeline="nope")
    assert "run_broken" not in tools
