"""Answers agents over the Model Context Protocol: pipelines are tools, runs and their lineage are resources."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from mcp import McpError, types
from mcp.server import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from pydantic import AnyUrl

from loom.agents.tool import Tool
from loom.project.config import LoomConfig
from loom.views import open_views
from loom_common.errors import LoomError, NotFound
from loom_common.file_errors import told
from loom_common.logs.logger import log
from loom_common.text import words_of

_INSTRUCTIONS = (
    "Loom runs AI pipelines: each record is read, answered by a model, scored, and loaded only if it passes its "
    "quality gate. Look at a pipeline with list_pipelines and at its price with estimate_cost before you run it. A run "
    "spends money and writes to its destination; with `records` or `sample` it writes elsewhere. What a run kept back "
    "is in list_quarantined, with reasons."
)
_JSON = "application/json"
_RUN = "loom://runs/"
_LINEAGE = "/lineage"
_LISTED = 20
"""The newest runs that are listed as resources. Others are read by their URIs."""


def server_of(config: LoomConfig, tools: Callable[[], Sequence[Tool]]) -> Server[Any]:
    """Return a server of a project. `tools` returns those that there are now."""
    answers = _Answers(config, tools)
    server: Server[Any] = Server("loom", version("loom-pipelines"), _INSTRUCTIONS)
    # The library's decorators have no types.
    server.list_tools()(answers.tools)  # type: ignore[no-untyped-call]
    server.call_tool(validate_input=False)(answers.call)
    server.list_resources()(answers.resources)  # type: ignore[no-untyped-call]
    server.list_resource_templates()(answers.templates)  # type: ignore[no-untyped-call]
    server.read_resource()(answers.read)  # type: ignore[no-untyped-call]
    return server


class _Answers:
    def __init__(self, config: LoomConfig, tools: Callable[[], Sequence[Tool]]) -> None:
        self._config = config
        self._tools = tools

    async def tools(self) -> list[types.Tool]:
        return [
            types.Tool(
                name=each.name,
                description=each.description,
                inputSchema=each.schema,
                annotations=types.ToolAnnotations(readOnlyHint=each.reads_only, openWorldHint=not each.reads_only),
            )
            for each in self._tools()
        ]

    async def call(self, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """Answer with what the tool returns. What goes wrong is an answer, too: the agent may mend it."""
        try:
            tool = next((each for each in self._tools() if each.name == name), None)
            if tool is None:
                raise NotFound(f"There is no tool named '{name}'. The tools may have changed; list them.")
            text = _written(await tool.asked(arguments))
        except LoomError as error:
            return _failed(str(error))
        except Exception as error:  # the rim of the server: the agent gets the error as its answer
            log.exception("a tool failed", tool=name)
            return _failed(told(error) or f"unexpected {type(error).__name__}: {words_of(error)}")
        content: list[Any] = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(content=content, structuredContent=json.loads(text))

    async def resources(self) -> list[types.Resource]:
        async with open_views(self._config) as views:
            runs = await views.history(None, _LISTED)
        return [
            types.Resource(
                uri=AnyUrl(f"{_RUN}{run.run_id}"),
                name=run.run_id,
                description=f"{run.pipeline_name}, {run.status}",
                mimeType=_JSON,
            )
            for run in runs
        ]

    async def templates(self) -> list[types.ResourceTemplate]:
        return [
            types.ResourceTemplate(
                uriTemplate=f"{_RUN}{{run_id}}", name="run", description="The report of a run.", mimeType=_JSON
            ),
            types.ResourceTemplate(
                uriTemplate=f"{_RUN}{{run_id}}{_LINEAGE}",
                name="lineage",
                description="Where the records of a run came from and went, step by step.",
                mimeType=_JSON,
            ),
        ]

    async def read(self, uri: AnyUrl) -> list[ReadResourceContents]:
        return [ReadResourceContents(_written(await self._content(str(uri))), _JSON)]

    async def _content(self, uri: str) -> Any:
        if not uri.startswith(_RUN):
            raise _no_resource(f"There is no resource {uri}: expected {_RUN}RUN or {_RUN}RUN{_LINEAGE}.")
        run_id = uri.removeprefix(_RUN).removesuffix(_LINEAGE)
        async with open_views(self._config) as views:
            try:
                row = await views.known(run_id)
            except LoomError as error:
                raise _no_resource(str(error)) from None
            if uri.endswith(_LINEAGE):
                return [each.as_json() for each in await views.lineage(row.pipeline_name, run_id)]
            shown = await views.run(run_id)
        assert shown is not None
        return shown.as_json()


def _no_resource(words: str) -> McpError:
    return McpError(types.ErrorData(code=types.INVALID_PARAMS, message=words))


def _failed(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)], isError=True)


def _written(answer: Any) -> str:
    return json.dumps(answer, ensure_ascii=False, default=str)
