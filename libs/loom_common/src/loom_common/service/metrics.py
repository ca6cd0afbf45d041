"""A process's vitals as Prometheus reads them. Names and meanings are told in docs/operations.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from loom_common.domain.run.breaker import State
from loom_common.ports.bus import Bus
from loom_common.resilience.breakers import Snapshot
from loom_common.worker.stats import BOUNDS, ConsumerStats, ProcessStats, Reading


class Metrics:
    """The registry of one process: its vitals, and of the process itself memory, CPU time and open files."""

    def __init__(self, vitals: ProcessStats, bus: Bus) -> None:
        self._registry = CollectorRegistry()
        self._collector = _VitalsCollector(vitals, bus)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)

    def exposition(self, accept: str, readings: Sequence[Reading], *, stopping: bool) -> tuple[bytes, str]:
        """The text, in the format that the `Accept` header asks for, and its content type."""
        self._collector.readings = readings
        self._collector.stopping = stopping
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _VitalsCollector(Collector):
    def __init__(self, vitals: ProcessStats, bus: Bus) -> None:
        self._vitals = vitals
        self._bus = bus
        self.readings: Sequence[Reading] = ()
        self.stopping = False

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are checked when they are asked for, not when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("loom_stopping", "1 from SIGTERM on.", float(self.stopping))
        yield from self._standing()
        yield from duty_families(self._vitals.duties.values())
        yield from reading_families(self.readings)

    def _standing(self) -> Iterator[Metric]:
        standing = self._bus.standing()
        yield GaugeMetricFamily("loom_broker_connected", "1 while connected.", float(standing.connected))
        up = GaugeMetricFamily("loom_consumer_up", "1 while the queue is being consumed.", labels=("queue",))
        prefetch = GaugeMetricFamily("loom_prefetch", "Messages in hand at most.", labels=("queue",))
        for queue in sorted(self._vitals.queues):
            up.add_metric((queue,), float(standing.consumes(queue)))
            prefetch.add_metric((queue,), standing.prefetch(queue))
        yield up
        yield prefetch


def duty_families(duties: Iterable[ConsumerStats]) -> Iterator[Metric]:
    """What workers count."""
    in_hand = GaugeMetricFamily("loom_messages_in_hand", "Delivered and not acknowledged.", labels=("queue",))
    outcomes = CounterMetricFamily("loom_messages", "Attempts by what became of them.", labels=("queue", "outcome"))
    seconds = HistogramMetricFamily("loom_handle_seconds", "Time in the handler, by attempt.", labels=("queue",))
    for duty in duties:
        in_hand.add_metric((duty.queue,), len(duty.in_hand))
        for outcome, count in duty.outcomes.items():
            outcomes.add_metric((duty.queue, outcome), count)
        bounds = (*map(str, BOUNDS), "+Inf")
        buckets = list(zip(bounds, map(float, accumulate(duty.durations.counts)), strict=True))
        seconds.add_metric((duty.queue,), buckets, duty.durations.total)
    return iter((in_hand, outcomes, seconds))


def breaker_readings(snapshots: Iterable[Snapshot]) -> list[Reading]:
    """Of every upstream called lately, whether calls to it are held back."""
    return [
        Reading("loom_breaker_open", "1 while not closed.", each.state is not State.CLOSED, {"upstream": each.upstream})
        for each in snapshots
    ]


def reading_families(readings: Iterable[Reading]) -> Iterator[Metric]:
    """Readings of one name are one metric; they must agree on the names of their labels."""
    families: dict[str, GaugeMetricFamily] = {}
    for reading in readings:
        if reading.name not in families:
            families[reading.name] = GaugeMetricFamily(reading.name, reading.meaning, labels=tuple(reading.labels))
        families[reading.name].add_metric(tuple(reading.labels.values()), reading.value)
    return iter(families.values())
