"""Provides a cluster to break. It is whole again when the next test begins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from loom_dev.backends import Redis
from support.cluster import MODEL_CALLS_AT_ONCE, Cluster, end_unused, running
from support.simulated_model import SimulatedModel
from support.watching import cluster_in_use


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    end_unused(item, nextitem)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def breakable(servers, tmp_path_factory) -> AsyncIterator[Cluster]:
    with servers.rabbitmq.vhost() as bus_url, servers.own(Redis).database() as journal_url:
        async with servers.postgres.database() as state_url:
            cluster = Cluster(
                tmp_path_factory.mktemp("faults") / "project",
                bus_url=bus_url,
                state_url=state_url,
                journal_url=journal_url,
                environ={"LOOM_BREAKER_OPEN_SECONDS": "3", "LOOM_BUDGET_LEASE_SECONDS": "3"},
                calls_at_once=MODEL_CALLS_AT_ONCE,
            )
            async with running(cluster):
                yield cluster


@pytest.fixture
async def cluster(breakable, monkeypatch) -> AsyncIterator[Cluster]:
    """Provide six services with a RabbitMQ virtual host, a Postgres database and a Redis journal of their own."""
    async with cluster_in_use(breakable, monkeypatch) as cluster:
        yield cluster


@pytest.fixture
async def model() -> AsyncIterator[SimulatedModel]:
    """Provide a model that answers after 50 ms."""
    async with SimulatedModel(latency=0.05) as server:
        yield server
