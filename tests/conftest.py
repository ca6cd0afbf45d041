"""Lends real servers to the tests: private, on loopback, started when the first test asks, gone with the test run.

A backend that cannot start is a failure with its remedy, never a skip. All workers of pytest-xdist share them. A test
that stops, kills or restarts a server asks for one of its own; the next such test finds it in service again."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
import structlog

from loom_common.logs import logger
from loom_dev.backends import MariaDB, Postgres, RabbitMQ, Redis, SeaweedFS
from loom_dev.backends.container import docker_answers
from loom_dev.emulators.kafka import Kafka
from loom_dev.emulators.mssql import MssqlServer
from loom_dev.emulators.snowflake import Snowflake
from support.buckets import bucket_of
from support.computing import computing
from support.servers import Borrower, Lender, Lending, Owner, Servers
from support.sharing import ByCluster

hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")  # how long an example takes says how busy the machine is

LENDING = pytest.StashKey[Lending]()


def pytest_configure() -> None:
    """Make tables as wide as what is in them, wherever the tests run: the readline that pytest loads may leave
    `COLUMNS`"""
    os.environ.pop("COLUMNS", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage among the tests and the packages that they import, all of which are kept until the end."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCluster:
    return ByCluster(config, log)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Let a test that sets up logging, as every command does, set it up for itself."""
    handlers, disabled = logging.root.handlers[:], logging.root.manager.disable
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logger.reset()
    logging.disable(disabled)
    logging.root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def garbage_collected_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo that a command in the process of the tests makes collections rare, and let it except nothing from them: the
    garbage of earlier tests would stay until the end."""
    monkeypatch.setattr(gc, "freeze", lambda: None)
    threshold = gc.get_threshold()
    yield
    if gc.get_threshold() != threshold:
        gc.set_threshold(*threshold)


@pytest.fixture(autouse=True)
def nothing_computes_on() -> Iterator[None]:
    """Fail a test that leaves a thread which computes: it would take the processor from all that follow."""
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in computing(set(threading.enumerate()) - before)]
    assert not left, f"These threads compute on: {left}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the servers are that all workers share. A container is started by each worker for itself."""
    if not docker_answers():
        stash = node.config.stash
        if LENDING not in stash:
            stash[LENDING] = Lending(Owner())
        node.workerinput["servers"] = stash[LENDING].address


def pytest_unconfigure(config: pytest.Config) -> None:
    if LENDING in config.stash:
        config.stash[LENDING].close()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Provide the servers that all workers share, by name, and `own`, for a test that stops or kills one."""
    names = {
        name.removesuffix("_server") for item in request.session.items for name in getattr(item, "fixturenames", ())
    }
    told = getattr(request.config, "workerinput", {})
    with ExitStack() as stack:
        if "servers" in told:
            lender: Lender = Borrower(told["servers"], int(told["workerid"].removeprefix("gw")))
        else:
            lender = stack.enter_context(closing(Owner()))
        yield stack.enter_context(closing(Servers(lender, names)))


@pytest.fixture
def rabbitmq(servers: Servers) -> RabbitMQ:
    """Provide RabbitMQ itself: `url`, `ctl`, `api`, `vhost`."""
    return servers.rabbitmq


@pytest.fixture
def own_rabbitmq(servers: Servers) -> RabbitMQ:
    """Provide a broker that the test may `stop`, `kill` and `restart`."""
    return servers.own(RabbitMQ)


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """Provide an empty virtual host of the test's own."""
    with rabbitmq.vhost() as url:
        yield url


@pytest.fixture
def postgres(servers: Servers) -> Postgres:
    """Provide Postgres itself: `url`, `database`."""
    return servers.postgres


@pytest.fixture
def own_postgres(servers: Servers) -> Postgres:
    """Provide a server that the test may `stop`, `kill` and `restart`."""
    return servers.own(Postgres)


@pytest.fixture
async def postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """Provide an empty database of the test's own."""
    async with postgres.database() as url:
        yield url


@pytest.fixture
def mariadb(servers: Servers) -> MariaDB:
    """Provide MariaDB itself: `url`, `database`."""
    return servers.mariadb


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """Provide an empty database of the test's own."""
    with mariadb.database() as url:
        yield url


@pytest.fixture
def redis_server(servers: Servers) -> Redis:
    """Provide Redis itself: `url`, `database`."""
    return servers.redis


@pytest.fixture
def own_redis(servers: Servers) -> Redis:
    """Provide a server that the test may `stop`, `kill` and `restart`."""
    return servers.own(Redis)


@pytest.fixture
def redis_url(redis_server: Redis) -> Iterator[str]:
    """Provide an empty database of the test's own."""
    with redis_server.database() as url:
        yield url


@pytest.fixture
def kafka_url(request: pytest.FixtureRequest) -> str:
    """Provide a broker of Kafka: the one that `LOOM_TEST_KAFKA` names as `host:port`, else one that tests share. It has
    topics of other tests."""
    if named := os.environ.get("LOOM_TEST_KAFKA"):
        return f"kafka://{named}"
    servers: Servers = request.getfixturevalue("servers")
    return servers.kafka.url


@pytest.fixture
def own_kafka(servers: Servers) -> Kafka:
    """Provide a broker that the test may `stop`, `kill` and `restart`."""
    return servers.own(Kafka)


@pytest.fixture
def snowflake(servers: Servers) -> Snowflake:
    """Provide an emulator of Snowflake: `url`, `schema`, `restart`, `kill`."""
    return servers.snowflake


@pytest.fixture
def snowflake_url(snowflake: Snowflake) -> str:
    """Provide an empty schema of the test's own."""
    return snowflake.schema()


@pytest.fixture(scope="session")
def mssql(servers: Servers) -> Iterator[MssqlServer]:
    """Provide an emulator of SQL Server, whose databases are those of Postgres: `url_of`."""
    with MssqlServer(servers.postgres.url).serving() as server:
        yield server


@pytest.fixture
async def mssql_url(mssql: MssqlServer, postgres_url: str, tmp_path: Path) -> str:
    """Provide an empty database of the test's own, and the server's certificate in the folder of the test."""
    return mssql.url_of(urlsplit(postgres_url).path.strip("/"), tmp_path)


@pytest.fixture
def seaweedfs(servers: Servers) -> SeaweedFS:
    """Provide an S3 server that checks signatures: `url`, `environment`."""
    return servers.seaweedfs


@pytest.fixture
def s3_environment(seaweedfs: SeaweedFS) -> dict[str, str]:
    """Provide variables that a location refers to: the endpoint, its keys, and a folder of the test's own."""
    environ = seaweedfs.environment()
    bucket_of(environ).put("is there", b"")
    return environ
