"""Provides a server of Prefect on loopback, and Loom with the engine as `make prefect-engine` installs them."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import patience, within
from support.command import Command
from support.engine_suite import EngineUnderTest
from support.projects import Project
from support.simulated_model import SimulatedModel
from support.watching import Watch, changes_runs, code_is_of_a_run

BIN = Path(os.environ["LOOM_PREFECT"])
"""The commands of the environment that has Prefect, Loom and the engine."""


class Prefect:
    """Represents a server, and what it is asked about runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api"
        self.environ = {"PREFECT_HOME": str(folder), "PREFECT_API_URL": self.url, "DO_NOT_TRACK": "1"}
        self._port = port
        self._log = folder / "server.log"

    def serve(self) -> subprocess.Popen[bytes]:
        command = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(self._port), "--no-ui"]
        own = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", **self.environ}
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)

    async def healthy(self) -> None:
        async with aiohttp.ClientSession() as session, within(90):
            while True:
                try:
                    async with session.get(f"{self.url}/health") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.2)

    async def asked(self, path: str, body: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def flow_run(self, run_id: str) -> dict[str, Any]:
        """Return the only flow run of a run."""
        (found,) = await self.asked("flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"loom:{run_id}"]}}})
        return dict(found)

    async def completed(self, run_id: str, stage: str = "") -> dict[str, int]:
        """Return the task runs of a run that are completed, and how often each was begun. The server takes note of them
        a moment after they end."""
        asked = {"flow_runs": {"tags": {"all_": [f"loom:{run_id}"]}}}
        found = await self.asked("task_runs/filter", asked)
        ended = [each for each in found if each["state_name"] == "Completed" and each["name"].startswith(stage)]
        return {each["name"]: each["run_count"] for each in ended}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    prefect = Prefect(tmp_path_factory.mktemp("prefect"), reserve_port())
    with ExitStack() as stack:
        process = prefect.serve()
        stack.callback(process.wait, patience(30))
        stack.callback(process.terminate)
        asyncio.run(prefect.healthy())
        yield prefect


async def begin(folder: Path, *arguments: str, environ: dict[str, str] | None = None) -> Command:
    """Start `loom` of the environment that has the engine."""
    watch = await Watch.begin(folder) if changes_runs(arguments) else None
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LOOM_", "OPENAI_", "PREFECT_"))}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(BIN / "loom"), *arguments, cwd=folder, env={**clean, **(environ or {})}, stdout=pipe, stderr=pipe
    )
    return Command(process, watch, follows=code_is_of_a_run(arguments))  # type: ignore[arg-type]


async def killed_and_resumed(engine: EngineUnderTest, made: Project, command: Command, run_id: str) -> Command:
    await command.kill()
    return await engine.loom(made, "resume", run_id, "--format", "json")


@pytest.fixture
def engine(server: Prefect, tmp_path: Path) -> EngineUnderTest:
    (tmp_path / "loom.yaml").write_text("engine: prefect\n")
    environ = {"LOOM_MODELS_CONCURRENCY": "8", **server.environ}
    return EngineUnderTest("prefect", tmp_path, begin, killed_and_resumed, environ=environ)


@pytest.fixture
async def model() -> AsyncIterator[SimulatedModel]:
    async with SimulatedModel(latency=0.05) as served:
        yield served
