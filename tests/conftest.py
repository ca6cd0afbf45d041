"""Starts real servers for the tests: private, on loopback, started when the first test asks, gone with the test run.

A backend that cannot start is a failure with its remedy, never a skip. Under pytest-xdist every worker has its own,
so a test may stop, kill or restart what it was given; the next test finds it in service again."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import pytest
import structlog

from loom_dev.backends import Backend, MariaDB, Postgres, RabbitMQ, Redis, SeaweedFS, start_all
from loom_dev.emulators.snowflake import Snowflake
from support.buckets import bucket_of
from support.computing import computing
from support.sharing import ByCluster

hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")  # how long an example takes says how busy the machine is


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


@dataclass
class Servers:
    """Starts the servers of this test session. Made at once, started when needed: those in `named` all together."""

    named: frozenset[str]
    rabbitmq: RabbitMQ = field(default_factory=RabbitMQ)
    postgres: Postgres = field(default_factory=Postgres)
    mariadb: MariaDB = field(default_factory=MariaDB)
    redis: Redis = field(default_factory=Redis)
    seaweedfs: SeaweedFS = field(default_factory=SeaweedFS)
    snowflake: Snowflake = field(default_factory=Snowflake)

    @property
    def each(self) -> tuple[Backend, ...]:
        return self.rabbitmq, self.postgres, self.mariadb, self.redis, self.seaweedfs, self.snowflake

    def serve(self, backend: Backend) -> None:
        """See to it that `backend` runs; with it, the first time, all that the collected tests name."""
        named = [each for each in self.each if each.name in self.named]
        start_all(*(each for each in {backend, *named} if not each.running))

    def close(self) -> None:
        for backend in self.each:
            backend.close()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    names = {
        name.removesuffix("_server") for item in request.session.items for name in getattr(item, "fixturenames", ())
    }
    servers = Servers(frozenset(names))
    yield servers
    servers.close()


@pytest.fixture
def rabbitmq(servers: Servers) -> RabbitMQ:
    """Provide RabbitMQ itself: `url`, `ctl`, `api`, `vhost`, `restart`, `kill`."""
    servers.serve(servers.rabbitmq)
    return servers.rabbitmq


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ) -> str:
    """Provide the default virtual host, shared by all tests."""
    return rabbitmq.url


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """Provide an empty virtual host of the test's own."""
    with rabbitmq.vhost() as url:
        yield url


@pytest.fixture
def postgres(servers: Servers) -> Postgres:
    """Provide Postgres itself: `url`, `database`, `restart`, `kill`."""
    servers.serve(servers.postgres)
    return servers.postgres


@pytest.fixture
async def postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """Provide an empty database of the test's own."""
    async with postgres.database() as url:
        yield url


@pytest.fixture
def mariadb(servers: Servers) -> MariaDB:
    """Provide MariaDB itself: `url`, `database`, `restart`, `kill`."""
    servers.serve(servers.mariadb)
    return servers.mariadb


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """Provide an empty database of the test's own."""
    with mariadb.database() as url:
        yield url


@pytest.fixture
def redis_server(servers: Servers) -> Redis:
    """Provide Redis itself: `url`, `database`, `restart`, `kill`."""
    servers.serve(servers.redis)
    return servers.redis


@pytest.fixture
def redis_url(redis_server: Redis) -> Iterator[str]:
    """Provide an empty database of the test's own."""
    with redis_server.database() as url:
        yield url


@pytest.fixture
def snowflake(servers: Servers) -> Snowflake:
    """Provide an emulator of Snowflake: `url`, `schema`, `restart`, `kill`."""
    servers.serve(servers.snowflake)
    return servers.snowflake


@pytest.fixture
def snowflake_url(snowflake: Snowflake) -> str:
    """Provide an empty schema of the test's own."""
    return snowflake.schema()


@pytest.fixture
def seaweedfs(servers: Servers) -> SeaweedFS:
    """Provide an S3 server that checks signatures: `url`, `environment`, `restart`, `kill`."""
    servers.serve(servers.seaweedfs)
    return servers.seaweedfs


@pytest.fixture
def s3_environment(seaweedfs: SeaweedFS) -> dict[str, str]:
    """Provide variables that a location refers to: the endpoint, its keys, and a folder of the test's own."""
    environ = seaweedfs.environment()
    bucket_of(environ).put("is there", b"")
    return environ
