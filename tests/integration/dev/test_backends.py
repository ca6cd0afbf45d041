"""Tests that the private servers end with their owner, and come back when told; what the fixtures promise, they
keep."""

import signal
import subprocess
import sys
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from redis.asyncio import Redis as RedisClient

from loom_dev.backends import ports
from loom_dev.errors import BackendUnavailable
from loom_dev.waiting import until

OWNER = """
import sys
from loom_dev.backends import Postgres, Redis, start_all
servers = Redis(), Postgres()
start_all(*servers)
print(*(f"{server.pid}:{server.folder}" for server in servers), flush=True)
sys.stdin.read()
"""


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_servers_and_their_folders_are_gone_when_their_owner_is_killed():
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        servers = [word.split(":") for word in owner.stdout.readline().decode().split()]
        assert len(servers) == 2 and all(lives(int(pid)) for pid, _ in servers)

        owner.send_signal(signal.SIGKILL)

    assert until(lambda: not any(lives(int(pid)) for pid, _ in servers), 10)
    assert until(lambda: not any(Path(folder).exists() for _, folder in servers), 10)


async def test_a_commit_survives_the_crash_of_postgres(own_postgres):
    async with own_postgres.database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")

        own_postgres.kill()
        own_postgres.start()
        connection.terminate()

        again = await asyncpg.connect(url)
        assert await again.fetchval("SELECT n FROM t") == 7
        await again.close()


HERE = """
    SELECT nspname, nspacl::text, relname FROM pg_namespace n LEFT JOIN pg_class c ON relnamespace = n.oid
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1, 3
"""


async def test_a_database_is_given_out_again_as_empty_as_a_new_one(postgres):
    async def found(url: str) -> list[tuple[str, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(HERE)]
        finally:
            await connection.close()

    async with postgres.database() as first, postgres.database() as second:
        connection = await asyncpg.connect(first)
        new = await found(second)
        await connection.execute("CREATE TABLE t (n int); CREATE SCHEMA s CREATE TABLE u (n int)")
        await connection.execute("CREATE TYPE mood AS ENUM ('fine'); BEGIN; LOCK t")
    async with postgres.database() as again:
        assert again == first and await found(again) == new
    connection.terminate()


@pytest.mark.parametrize(
    "setting", ["ALTER DATABASE {} SET work_mem = '1MB'", "CREATE PUBLICATION p", "SELECT lo_create(0)"]
)
async def test_a_database_that_cannot_be_emptied_is_not_given_out_again(postgres, setting):
    async with postgres.database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute(setting.format(url.rsplit("/", 1)[1]))
        await connection.close()
    async with postgres.database() as other:
        assert other != url


async def test_each_test_has_a_virtual_host_of_its_own(amqp_url, rabbitmq):
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("here", durable=True)

    def queues(url: str) -> set[str]:
        return {each["name"] for each in rabbitmq.api("GET", f"/queues/{url.rsplit('/', 1)[1]}")}

    assert queues(amqp_url) == {"here"}
    with rabbitmq.vhost() as other:
        assert not queues(other)


async def test_a_redis_database_is_emptied_after_its_test(redis_server):
    with redis_server.database() as url:
        async with RedisClient.from_url(url) as client:
            await client.set("key", "value")
    async with RedisClient.from_url(url) as client:
        assert await client.keys() == []


def test_a_port_that_another_process_was_given_is_not_given_out_again(monkeypatch):
    child = [sys.executable, "-c", "from loom_dev.backends.ports import reserve_port; print(reserve_port()); input()"]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        taken = int(other.stdout.readline())
        monkeypatch.setattr(ports, "FIRST", taken)
        monkeypatch.setattr(ports, "LAST", taken + 1)

        with pytest.raises(BackendUnavailable, match="No free port"):
            ports.reserve_port()

        other.communicate(b"\n")
    assert ports.reserve_port() == taken
