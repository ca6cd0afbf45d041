"""Provides a cluster for everyone who only uses it, and `loom` as it is typed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from loom.project.config import LoomConfig
from support.cluster import Cluster, end_unused, running
from support.command import Ended
from support.length import LONG
from support.places import Place
from support.simulated_model import SimulatedModel
from support.watching import Watch, changes_runs, cluster_in_use, code_is_of_a_run

FOLDER = Path(__file__).parent
collect_ignore = [] if LONG else ["test_million_rows.py"]
"""Names what is tested only in the long form."""
BATCHES = {"LOOM_BATCHES_POLL_SECONDS": "0.2", "LOOM_BATCHES_GATHER_SECONDS": "0.5"}
"""Lets the cluster look after the batches of providers every moment, instead of every half minute."""
REPLICAS = {"extractor": 2, "transformer": 4, "evaluator": 2}
"""Says how many replicas the tests of several have. All have as many, so that each is started once."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of several replicas follow one another, after all others of this folder."""
    places = [place for place, item in enumerate(items) if item.path.parent == FOLDER]
    mine = [items[place] for place in places]
    mine.sort(key=lambda item: "staffed" in getattr(item, "fixturenames", ()))
    for place, item in zip(places, mine, strict=True):
        items[place] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    end_unused(item, nextitem)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def serving(servers, tmp_path_factory) -> AsyncIterator[Cluster]:
    environ = servers.seaweedfs.environment() | BATCHES
    with servers.rabbitmq.vhost() as bus_url:
        async with servers.postgres.database() as state_url:
            folder = tmp_path_factory.mktemp("e2e") / "project"
            environ["LOOM_OPENLINEAGE_FILE"] = str(folder.parent / "lineage.jsonl")
            async with running(Cluster(folder, bus_url=bus_url, state_url=state_url, environ=environ)) as cluster:
                yield cluster


@pytest.fixture
async def cluster(serving, monkeypatch) -> AsyncIterator[Cluster]:
    """Provide six services with a RabbitMQ virtual host and a Postgres database of their own."""
    async with cluster_in_use(serving, monkeypatch) as cluster:
        yield cluster


@pytest.fixture
async def model() -> AsyncIterator[SimulatedModel]:
    """Provide a model that answers at once."""
    async with SimulatedModel() as server:
        yield server


@pytest.fixture
def clean_environ(monkeypatch) -> None:
    """Remove every setting of whoever runs the tests."""
    for name in ("LOOM_BUS_URL", "LOOM_STATE_URL", "LOOM_JOURNAL_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path, clean_environ) -> LoomConfig:
    """Provide a project in the folder `tmp_path`, whose runs are carried out in this process."""
    (tmp_path / "loom.yaml").touch()
    return LoomConfig.load(tmp_path / "loom.yaml")


@pytest.fixture
def loom(tmp_path, monkeypatch, capsys, clean_environ) -> Callable[..., Ended]:
    """Runs `loom ...` in this process, in the folder `tmp_path`. What it runs must leave true books."""
    from loom.cli.app import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        watch = asyncio.run(Watch.begin(tmp_path)) if changes_runs(arguments) else None
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        out, err = capsys.readouterr()
        code = exited.value.code if isinstance(exited.value.code, int) else 0
        if watch is not None:
            asyncio.run(watch.end(code if code_is_of_a_run(arguments) else None))
        return Ended(code, out, err)

    return run


@pytest.fixture
def run(loom) -> Callable[..., Ended]:
    """Runs the pipeline of the folder; what it prints is JSON."""
    return lambda *arguments: loom("run", "pipeline.yaml", "--format", "json", *arguments)


@pytest.fixture
def slowly(monkeypatch) -> None:
    """Run few batches at once, so that a run can be stopped."""
    monkeypatch.setenv("LOOM_WORKER_PREFETCH", "1")


@pytest.fixture
async def here(tmp_path, clean_environ) -> AsyncIterator[Place]:
    """Provide a place that is one process. What it runs must leave true books."""
    (tmp_path / "loom.yaml").touch()
    watch = await Watch.begin(tmp_path)
    yield Place(tmp_path, clustered=False, environ={})
    await watch.end()


@pytest.fixture
async def staffed(serving, monkeypatch) -> AsyncIterator[Cluster]:
    """Provide the cluster of all tests, with several replicas of some services."""
    async with cluster_in_use(serving, monkeypatch, **REPLICAS) as cluster:
        yield cluster


@pytest.fixture
async def fleet(staffed) -> Place:
    """Provide the cluster with several replicas as a place."""
    return Place(staffed.project, clustered=True, environ=staffed.credentials)


@pytest.fixture
async def judge() -> AsyncIterator[SimulatedModel]:
    """Provide the endpoint of the evaluators, so that its counts stand apart."""
    async with SimulatedModel() as server:
        yield server
