"""A process's metrics in the format of Prometheus. docs/operations.md explains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as WrittenExemplar
from prometheus_client.utils import floatToGoString

from loom_common.domain.run.breaker import State
from loom_common.ports.bus import Bus
from loom_common.resilience.breakers import Snapshot
from loom_common.worker.consuming.stats import BOUNDS, ConsumerStats, Distribution, Exemplar, ProcessStats, Reading


class Metrics:
    """Keeps the registry of one process: its consumers and readings, and its memory, CPU time and open files."""

    def __init__(self, stats: ProcessStats, bus: Bus) -> None:
        self._registry = CollectorRegistry()
        self._collector = _VitalsCollector(stats, bus)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)

    def exposition(
        self, accept: str, readings: Sequence[Reading | Distribution], *, stopping: bool
    ) -> tuple[bytes, str]:
        """Return the metrics in the format that the `Accept` header asks for, and its content type."""
        self._collector.readings = readings
        self._collector.stopping = stopping
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _VitalsCollector(Collector):
    def __init__(self, stats: ProcessStats, bus: Bus) -> None:
        self._stats = stats
        self._bus = bus
        self.readings: Sequence[Reading | Distribution] = ()
        self.stopping = False

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are checked when metrics are collected, not when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("loom_stopping", "1 from SIGTERM on.", float(self.stopping))
        yield from self._standing()
        yield from consumer_families(self._stats.consumers.values())
        yield from reading_families(self.readings)

    def _standing(self) -> Iterator[Metric]:
        standing = self._bus.standing()
        yield GaugeMetricFamily("loom_broker_connected", "1 while connected.", float(standing.connected))
        up = GaugeMetricFamily("loom_consumer_up", "1 while the queue is being consumed.", labels=("queue",))
        prefetch = GaugeMetricFamily("loom_prefetch", "Most messages in flight.", labels=("queue",))
        for queue in sorted(self._stats.queues):
            up.add_metric((queue,), float(standing.consumes(queue)))
            prefetch.add_metric((queue,), standing.prefetch(queue))
        yield up
        yield prefetch


def consumer_families(consumers: Iterable[ConsumerStats]) -> Iterator[Metric]:
    """Yield the metrics of consumers."""
    in_flight = GaugeMetricFamily("loom_messages_in_flight", "Delivered and not acknowledged.", labels=("queue",))
    outcomes = CounterMetricFamily("loom_messages", "Attempts by what became of them.", labels=("queue", "outcome"))
    seconds = HistogramMetricFamily("loom_handle_seconds", "Time in the handler, by attempt.", labels=("queue",))
    for consumer in consumers:
        in_flight.add_metric((consumer.queue,), len(consumer.in_flight))
        for outcome, count in consumer.outcomes.items():
            outcomes.add_metric((consumer.queue, outcome), count)
        durations = consumer.durations
        bounds = (*map(str, BOUNDS), "+Inf")
        buckets: list[tuple[str, float] | tuple[str, float, WrittenExemplar]] = []
        for bucket, (bound, count) in enumerate(zip(bounds, accumulate(durations.counts), strict=True)):
            found = durations.exemplars.get(bucket)
            buckets.append((bound, float(count)) if found is None else (bound, float(count), _written(found)))
        seconds.add_metric((consumer.queue,), buckets, durations.total)
    return iter((in_flight, outcomes, seconds))


def breaker_readings(snapshots: Iterable[Snapshot]) -> list[Reading]:
    """Return for every upstream called lately whether its breaker holds calls back."""
    return [
        Reading("loom_breaker_open", "1 while not closed.", each.state is not State.CLOSED, {"upstream": each.upstream})
        for each in snapshots
    ]


def reading_families(readings: Iterable[Reading | Distribution]) -> Iterator[Metric]:
    """Yield one metric for all readings with the same name. They must have the same label names."""
    families: dict[str, Metric] = {}
    for reading in readings:
        if reading.name not in families:
            families[reading.name] = Metric(reading.name.removesuffix("_total"), reading.meaning, _type_of(reading))
        family, labels = families[reading.name], dict(reading.labels)
        if isinstance(reading, Reading):
            family.add_sample(reading.name, labels, reading.value)
            continue
        bounds = (*map(floatToGoString, reading.bounds), "+Inf")
        counts = list(accumulate(reading.counts))
        for bucket, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
            found = reading.exemplars.get(bucket)
            exemplar = None if found is None else _written(found)
            family.add_sample(f"{reading.name}_bucket", {**labels, "le": bound}, count, exemplar=exemplar)
        family.add_sample(f"{reading.name}_count", labels, counts[-1])
        family.add_sample(f"{reading.name}_sum", labels, reading.total)
    return iter(families.values())


def _written(exemplar: Exemplar) -> WrittenExemplar:
    """Return an exemplar as OpenMetrics has it. The older text format of Prometheus leaves exemplars out."""
    named = {"trace_id": exemplar.span.trace_id, "span_id": exemplar.span.span_id}
    return WrittenExemplar(named, exemplar.value, exemplar.at)


def _type_of(reading: Reading | Distribution) -> str:
    """Return the metric's type. OpenMetrics has no counter whose name does not end in `_total`: such a one is written
    without a type, which changes nothing for Prometheus."""
    if isinstance(reading, Distribution):
        return "histogram"
    if not reading.counter:
        return "gauge"
    return "counter" if reading.name.endswith("_total") else "unknown"
