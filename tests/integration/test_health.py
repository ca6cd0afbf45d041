"""Tests health as Kubernetes and Prometheus see it: real services, asked over HTTP while things happen to them."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from loom.engine import prepare
from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.config.settings import JournalSettings, PayloadSettings, Settings, StateSettings
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.flow import FACTS_QUEUE, RUNS_QUEUE, TOPOLOGY, Stage, work, work_queue
from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import patience, within
from support import forked
from support.plans import batch_of, plan_of
from support.proxy import Proxy

TRANSFORM = work_queue(Stage.TRANSFORM)
HOLD = """
import time
from pathlib import Path

FOLDER = Path({folder!r})


def hold(record):
    (FOLDER / "held").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.02)
    return {{"text": record["text"]}}
"""
HOLD_THE_LOOP = """
import signal
import time
from pathlib import Path

FOLDER = Path({folder!r})


def hold(_number, _frame):
    (FOLDER / "held").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.02)


signal.signal(signal.SIGUSR1, hold)
"""
"""Python runs a signal's handler in the main thread, which is the event loop's; every other thread goes on."""


class Asked:
    """Runs a service as a process, and keeps its answers."""

    def __init__(self, process: subprocess.Popen | forked.Forked, port: int) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}"

    async def status(self, path: str) -> int | None:
        """Return the status; None where nobody answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self._url + path) as response:
                return response.status
        except aiohttp.ClientConnectionError:
            assert self.process.poll() is None, "the service ended"
            return None

    async def checks(self) -> dict[str, str]:
        """Return what `/readyz` says of each check."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._url}/readyz") as response:
            return (await response.json())["checks"]

    async def number(self, name: str, **labels: str) -> float | None:
        async with aiohttp.ClientSession() as session, session.get(f"{self._url}/metrics") as response:
            text = await response.text()
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        assert len(found) <= 1
        return found[0] if found else None

    async def becomes(self, path: str, status: int) -> None:
        await eventually(lambda: self.has(path, status))

    async def has(self, path: str, status: int) -> bool:
        return await self.status(path) == status


async def eventually(condition) -> None:
    async with within(60):
        while not await condition():
            await asyncio.sleep(0.05)


@contextmanager
def service(name: str, folder, amqp_url: str, **settings: str):
    port = reserve_port()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LOOM_")}
    environ |= {
        "LOOM_BUS_URL": amqp_url,
        "LOOM_PROJECT_DIR": str(folder),
        "LOOM_PAYLOADS_URL": "file:payloads",
        "LOOM_JOURNAL_URL": "sqlite:///journal.db",
        "LOOM_HEALTH_PORT": str(port),
        **settings,
    }
    if "PYTHONPATH" in settings:  # the test changes how Python starts
        process = subprocess.Popen([sys.executable, "-m", f"loom_{name}"], env=environ, cwd=folder)
    else:
        process = forked.fork(f"loom_{name}", (), folder, environ, (1, 2))
    try:
        yield Asked(process, port)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def bus(amqp_url):
    bus = await AmqpBus.connect(SecretStr(amqp_url), name="test", patience=40)
    await bus.declare(TOPOLOGY)
    yield bus
    await bus.close()


@pytest.fixture
async def project(tmp_path):
    """Provide a project folder whose journal has its tables."""
    sqlite = {name: SecretStr(f"sqlite:///{tmp_path}/{name}.db") for name in ("state", "journal")}
    await prepare(
        Settings(
            project_dir=tmp_path,
            state=StateSettings(url=sqlite["state"]),
            journal=JournalSettings(url=sqlite["journal"]),
            payloads=PayloadSettings(url=SecretStr("file:payloads")),
        )
    )
    return tmp_path


async def test_a_service_asked_to_stop_is_not_ready_first_and_then_finishes_what_it_has_in_flight(
    project, amqp_url, bus
):
    (project / "held_up.py").write_text(HOLD.format(folder=str(project)))
    plan = plan_of({"type": "python", "function": "held_up:hold"}, every_hop=True)
    await FolderPayloads(project / "payloads").put(plan.encoded())
    batch = encode(Outgoing(work(Stage.TRANSFORM, "reviews"), batch_of(plan, [{"text": "fine"}])), "extractor")

    with service("transformer", project, amqp_url) as transformer:
        await transformer.becomes("/readyz", 200)
        assert set((await transformer.checks()).values()) == {"ok"}
        assert await transformer.number("loom_consumer_up", queue=TRANSFORM) == 1

        await bus.publish([batch])
        await eventually(lambda: asyncio.to_thread((project / "held").exists))
        transformer.process.send_signal(signal.SIGTERM)
        await transformer.becomes("/readyz", 503)
        told = await transformer.checks()
        assert (told["stopping"], told["broker"]) == ("asked to stop; finishing what is in flight", "ok")
        await eventually(lambda: _is(transformer.number("loom_consumer_up", queue=TRANSFORM), 0))
        assert await transformer.number("loom_messages_in_flight", queue=TRANSFORM) == 1
        assert await transformer.number("loom_stopping") == 1
        assert await transformer.status("/healthz") == 200
        assert await bus.depth(work_queue(Stage.EVALUATE)) == 0

        (project / "go").touch()
        assert await asyncio.to_thread(transformer.process.wait, patience(20)) == 0
    assert await bus.depth(work_queue(Stage.EVALUATE)) == 1
    assert await bus.depth(TRANSFORM) == 0


async def _is(asked, value: float) -> bool:
    return await asked == value


async def test_a_service_is_alive_but_not_ready_while_its_broker_is_away(project, amqp_url, bus):
    broker = Proxy(amqp_url)
    with ExitStack() as stack:
        async with broker:
            transformer = stack.enter_context(service("transformer", project, broker.url))
            await transformer.becomes("/readyz", 200)

        await transformer.becomes("/readyz", 503)
        told = await transformer.checks()
        assert told["broker"].startswith("not connected")
        assert told[f"consumer of {TRANSFORM}"] == "not consuming"
        assert await transformer.status("/healthz") == 200

        async with broker:
            await transformer.becomes("/readyz", 200)


async def test_a_service_is_alive_while_a_user_s_asynchronous_function_does_not_come_back(project, amqp_url, bus):
    (project / "held_up.py").write_text(HOLD.format(folder=str(project)).replace("def hold", "async def hold"))
    plan = plan_of({"type": "python", "function": "held_up:hold"}, every_hop=True)
    await FolderPayloads(project / "payloads").put(plan.encoded())
    batch = encode(Outgoing(work(Stage.TRANSFORM, "reviews"), batch_of(plan, [{"text": "fine"}])), "extractor")

    with service("transformer", project, amqp_url) as transformer:
        await transformer.becomes("/readyz", 200)
        await bus.publish([batch])
        await eventually(lambda: asyncio.to_thread((project / "held").exists))
        async with within(5):
            assert await transformer.status("/healthz") == 200
        assert await transformer.number("loom_messages_in_flight", queue=TRANSFORM) == 1
        (project / "go").touch()
        await eventually(lambda: _is(bus.depth(work_queue(Stage.EVALUATE)), 1))


async def test_liveness_is_answered_by_the_event_loop_itself(project, amqp_url, bus):
    held_up = {"PYTHONPATH": str(project)}  # Python imports `sitecustomize` as it starts
    (project / "sitecustomize.py").write_text(HOLD_THE_LOOP.format(folder=str(project)))

    with service("transformer", project, amqp_url, **held_up) as transformer:
        await transformer.becomes("/readyz", 200)
        transformer.process.send_signal(signal.SIGUSR1)
        await eventually(lambda: asyncio.to_thread((project / "held").exists))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await transformer.status("/healthz")
        (project / "go").touch()
        await transformer.becomes("/healthz", 200)


@pytest.mark.parametrize("name", ["coordinator", "quarantine"])
async def test_a_service_with_state_is_not_ready_while_its_database_is_away(name, own_postgres, project, amqp_url, bus):
    async with own_postgres.database() as state_url:
        await prepare(Settings(project_dir=project, state=StateSettings(url=SecretStr(state_url))))
        with service(name, project, amqp_url, LOOM_STATE_URL=state_url) as asked:
            await asked.becomes("/readyz", 200)

            await asyncio.to_thread(own_postgres.stop)
            await asked.becomes("/readyz", 503)
            told = await asked.checks()
            assert "does not answer" in told.pop("state database") or "no answer" in told
            assert own_postgres.password not in str(told)
            assert await asked.status("/healthz") == 200

            await asyncio.to_thread(own_postgres.start)
            await asked.becomes("/readyz", 200)


async def test_the_coordinator_tells_of_runs_batches_and_queues(project, amqp_url, postgres_url, bus):
    await prepare(Settings(project_dir=project, state=StateSettings(url=SecretStr(postgres_url))))
    with service("coordinator", project, amqp_url, LOOM_STATE_URL=postgres_url) as coordinator:
        await coordinator.becomes("/readyz", 200)
        assert {f"consumer of {RUNS_QUEUE}", f"consumer of {FACTS_QUEUE}"} < set(await coordinator.checks())
        assert await coordinator.number("loom_runs", status="running") == 0
        assert await coordinator.number("loom_batches_in_flight", stage="extract") == 0

        plan = plan_of({"type": "passthrough"})
        batch = encode(Outgoing(work(Stage.TRANSFORM, "reviews"), batch_of(plan, [{"text": "fine"}])), "extractor")
        await bus.publish([batch] * 3)
        await eventually(lambda: _is(coordinator.number("loom_queue_messages_ready", queue=TRANSFORM), 3))
        assert await coordinator.number("loom_outbox_messages") == 0
        assert await coordinator.number("loom_gauges_missing") == 0
