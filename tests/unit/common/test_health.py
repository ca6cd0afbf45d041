"""Tests what a service tells of itself: the decisions, and the endpoints on an in-process bus."""

import asyncio
import re
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.config.settings import HealthSettings, Settings
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchExtracted
from loom_common.errors import ConfigurationError, DependencyUnavailable, PermanentError
from loom_common.flow import TOPOLOGY, Stage, work, work_queue
from loom_common.ports.bus import Consumer, QueueState, Wire
from loom_common.ports.clock import SystemClock
from loom_common.service.health import BEAT_SECONDS, Health, need_findings, serving, standing_findings
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.consuming.stats import BOUNDS, Durations, MessageOutcome, ProcessStats, Reading
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker
from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import within
from support.plans import batch_of, plan_of

QUEUE = work_queue(Stage.TRANSFORM)
WORKING = QueueState(connected=True, consumers=(Consumer(QUEUE, 8, active=True),))


class StoppedClock(SystemClock):
    """Moves only when `time` is set, and never ends a sleep."""

    time = 0.0

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Endpoints:
    """Serves a service's health, and asks it."""

    def __init__(self, health: Health, stats: ProcessStats, stop: asyncio.Event, url: str) -> None:
        self.health = health
        self.stats = stats
        self.stop = stop
        self._url = url

    async def get(self, path: str) -> tuple[int, dict]:
        async with aiohttp.ClientSession() as session, session.get(self._url + path) as response:
            return response.status, await response.json()

    async def numbers(self) -> dict[str, float]:
        """Return every sample by its name and the values of its labels, which come in the order of their names."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._url}/metrics") as response:
            assert response.status == 200
            assert response.content_type == "text/plain"
            text = await response.text()
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@asynccontextmanager
async def endpoints(bus, clock=None, stall_seconds=10.0):
    stats, stop, port = ProcessStats(), asyncio.Event(), reserve_port()
    health = Health(stats, bus, clock or SystemClock(), stop, stall_seconds)
    async with serving(health, HealthSettings(port=port)):
        yield Endpoints(health, stats, stop, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def memory_bus():
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    yield bus
    await bus.close()


async def eventually(condition) -> None:
    async with within(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("standing", "stopping", "amiss"),
    [
        (WORKING, False, {}),
        (WORKING, True, {"stopping": "asked to stop"}),
        (
            QueueState(connected=False, consumers=WORKING.consumers),
            False,
            {"broker": "not", f"consumer of {QUEUE}": "not"},
        ),
        (QueueState(connected=True), False, {f"consumer of {QUEUE}": "not consuming"}),
        (QueueState(True, (Consumer(QUEUE, 8, active=False),)), False, {f"consumer of {QUEUE}": "not consuming"}),
        (QueueState(True, (Consumer("loom.load", 8, active=True),)), False, {f"consumer of {QUEUE}": "not consuming"}),
    ],
)
def test_a_service_is_ready_while_it_is_connected_and_consumes_and_need_not_stop(standing, stopping, amiss):
    findings = standing_findings(standing, {QUEUE}, stopping=stopping)
    assert set(findings) == {"stopping", "broker", f"consumer of {QUEUE}"}
    found = {name: finding for name, finding in findings.items() if finding}
    assert set(found) == set(amiss)
    assert all(found[name].startswith(words) for name, words in amiss.items())


async def test_each_need_is_asked_and_named_with_what_is_the_matter(monkeypatch):
    monkeypatch.setattr("loom_common.service.health.NEED_SECONDS", 0.02)

    async def well() -> None: ...

    async def away() -> None:
        raise DependencyUnavailable("The database db:5432 does not answer.")

    async def silent() -> None:
        await asyncio.Event().wait()

    findings = await need_findings({"journal": well, "state database": away, "payloads": silent})
    assert findings == {
        "journal": None,
        "state database": "The database db:5432 does not answer.",
        "payloads": "no answer within 0.02 s",
    }


def test_durations_are_counted_by_the_bound_they_do_not_exceed():
    durations = Durations()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1] + 1):
        durations.add(seconds)
    assert (durations.counts[0], durations.counts[1], durations.counts[-1]) == (2, 1, 1)
    assert durations.total == pytest.approx(2 * BOUNDS[0] + BOUNDS[-1] + 1)


async def test_a_service_is_alive_while_its_loop_beats():
    clock = StoppedClock()
    async with memory_bus() as bus, endpoints(bus, clock, stall_seconds=3.0) as service:
        clock.time = 2.9
        assert await service.get("/healthz") == (200, {"alive": True, "last_beat_s": 2.9})
        clock.time = 3.0
        assert await service.get("/healthz") == (503, {"alive": False, "last_beat_s": 3.0})


async def test_the_beat_goes_on_by_itself():
    beats = []

    class Counting(StoppedClock):
        async def sleep(self, seconds: float) -> None:
            beats.append(seconds)
            self.time += seconds
            if len(beats) == 3:
                await asyncio.Event().wait()

    async with memory_bus() as bus, endpoints(bus, Counting()) as service:
        await eventually(lambda: len(beats) == 3)
        assert beats == [BEAT_SECONDS] * 3
        assert (await service.get("/healthz"))[1]["last_beat_s"] == BEAT_SECONDS


async def test_a_service_is_ready_once_it_consumes_and_until_it_is_asked_to_stop():
    async with memory_bus() as bus, endpoints(bus) as service:
        service.stats.consumer(QUEUE)
        status, told = await service.get("/readyz")
        assert (status, told["checks"][f"consumer of {QUEUE}"]) == (503, "not consuming")

        await bus.subscribe(QUEUE, prefetch=3)
        status, told = await service.get("/readyz")
        assert status == 200
        assert told == {"ready": True, "checks": {"stopping": "ok", "broker": "ok", f"consumer of {QUEUE}": "ok"}}

        service.stop.set()
        status, told = await service.get("/readyz")
        assert (status, told["ready"]) == (503, False)
        assert told["checks"]["stopping"].startswith("asked to stop")
        assert (await service.get("/healthz"))[0] == 200


async def test_a_port_that_is_taken_is_said_with_its_remedy():
    async with memory_bus() as bus, endpoints(bus) as service:
        port = int(re.findall(r":(\d+)$", service._url)[0])
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}.*LOOM_HEALTH_PORT"):
            async with serving(service.health, HealthSettings(port=port)):
                pass


def test_without_a_port_nothing_is_served_and_with_one_it_is_on_loopback(monkeypatch):
    monkeypatch.delenv("LOOM_HEALTH_PORT", raising=False)
    assert Settings().health.port is None
    monkeypatch.setenv("LOOM_HEALTH_PORT", "20080")
    assert (Settings().health.host, Settings().health.port) == ("127.0.0.1", 20080)


async def test_a_worker_counts_what_becomes_of_its_messages():
    plan = plan_of({"type": "passthrough"})
    batch = batch_of(plan, [{"text": "fine"}])
    held, go, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    raised = [DependencyUnavailable("The model is away."), PermanentError("No such model."), ValueError("a defect")]

    async def handler(message, context):
        held.set()
        await go.wait()
        if raised:
            raise raised.pop()
        return []

    async with memory_bus() as bus, endpoints(bus) as service:
        consumer = ConsumerSpec(QUEUE, (Accepts(BatchExtracted, handler, router.nothing),), prefetch=6)
        worker = Worker("transformer", consumer, bus, EpochGuard(), stats=service.stats.consumer(QUEUE))
        working = asyncio.create_task(worker.run(stop))
        good = encode(Outgoing(work(Stage.TRANSFORM, "reviews"), batch), "extractor")
        newer = batch.model_copy(update={"header": batch.header.model_copy(update={"epoch": 2})})
        await bus.publish([good] * 4)
        await held.wait()
        numbers = await service.numbers()
        assert numbers[f"loom_messages_in_flight {QUEUE}"] == 4
        assert numbers[f"loom_prefetch {QUEUE}"] == 6
        assert numbers[f"loom_consumer_up {QUEUE}"] == 1
        assert numbers["loom_broker_connected"] == 1
        assert numbers["loom_stopping"] == 0

        go.set()
        outcomes = service.stats.consumers[QUEUE].outcomes
        await eventually(lambda: outcomes.total() == 4)
        await bus.publish([encode(Outgoing(work(Stage.TRANSFORM, "reviews"), newer), "extractor")])
        await eventually(lambda: outcomes[MessageOutcome.HANDLED] == 2)
        await bus.publish([good, Wire("loom.work", "transform.reviews", b"no JSON", type="loom.batch.extracted.v1")])
        await eventually(lambda: outcomes.total() == 7)
        stop.set()
        await working

        numbers = await service.numbers()
        assert {name: numbers[f"loom_messages_total {name} {QUEUE}"] for name in MessageOutcome} == {
            "handled": 2,
            "retried": 2,
            "failed": 2,
            "stale": 1,
        }
        assert numbers[f"loom_handle_seconds_count {QUEUE}"] == 5  # what was never handled took no time
        assert numbers[f"loom_handle_seconds_bucket +Inf {QUEUE}"] == 5
        assert numbers[f"loom_messages_in_flight {QUEUE}"] == 0
        assert numbers[f"loom_consumer_up {QUEUE}"] == 0
        assert numbers["process_resident_memory_bytes"] > 1e6
        assert numbers["process_cpu_seconds_total"] > 0


async def test_numbers_that_cannot_be_looked_up_are_left_out_and_counted():
    async def runs():
        return [
            Reading("loom_runs", "Runs.", 3, {"status": "running"}),
            Reading("loom_runs", "Runs.", 1, {"status": "x"}),
        ]

    async def queues():
        raise DependencyUnavailable("RabbitMQ is away.")

    async with memory_bus() as bus, endpoints(bus) as service:
        service.stats.gauges += [queues, runs]
        numbers = await service.numbers()
        assert (numbers["loom_runs running"], numbers["loom_runs x"], numbers["loom_gauges_missing"]) == (3, 1, 1)
