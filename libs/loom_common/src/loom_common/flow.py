"""Defines the way of a record as data. Read this file first.

A record enters with a *slice* of its source and walks four stages as part of a *batch*::

    run request -> coordinator -> [slice] -> extract -> [batch] -> transform -> [batch] -> evaluate -> [batch] -> load

A batch is not sent to a stage that has nothing to do: see `domain/run/stages.py`.

Every exchange, queue and routing key of Loom is named here and nowhere else. The broker's topology,
the in-process bus and the wire-format document are all derived from these values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType


class Stage(StrEnum):
    """The four stages, in the order a record meets them."""

    EXTRACT = "extract"
    TRANSFORM = "transform"
    EVALUATE = "evaluate"
    LOAD = "load"

    @property
    def next(self) -> Stage | None:
        """Return the stage after this one; None after `load`."""
        order = tuple(Stage)
        position = order.index(self) + 1
        return order[position] if position < len(order) else None

    @property
    def done(self) -> str:
        """Return the stage's past participle, as it stands in facts: `batch.loaded.<pipeline>`."""
        return {"extract": "extracted", "transform": "transformed", "evaluate": "evaluated", "load": "loaded"}[self]


class Exchange(StrEnum):
    """Names the exchanges. All but `DIRECT` are durable topic exchanges, so that anyone may bind a queue to what they
    need."""

    RUNS = "loom.runs"
    WORK = "loom.work"
    QUARANTINE = "loom.quarantine"
    EVENTS = "loom.events"
    CONTROL = "loom.control"
    DEAD = "loom.dead"
    DIRECT = ""
    """The broker's default exchange, whose routing key is a queue's name. It serves replies and retries."""


@dataclass(frozen=True, slots=True)
class Route:
    """Says where a message is published: an exchange and a routing key."""

    exchange: Exchange
    key: str

    def __str__(self) -> str:
        return f"{self.exchange or '(direct)'}/{self.key}"


@dataclass(frozen=True, slots=True)
class Binding:
    """Says which messages a queue receives. In `pattern`, `*` is one word and `#` any number of words."""

    exchange: Exchange
    pattern: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Represents a durable queue and its bindings.

    A queue with a `ttl` is a retry queue: after `ttl` seconds a message in it returns unchanged to the queue
    `returns_to`."""

    name: str
    bindings: tuple[Binding, ...] = ()
    ttl: float | None = None
    returns_to: str | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """Lists everything that must be declared before the first message."""

    queues: tuple[Queue, ...]
    exchanges: tuple[Exchange, ...] = field(default=tuple(e for e in Exchange if e))


RETRY_DELAYS = (5.0, 30.0, 120.0, 600.0)
"""Seconds before each retry of a message. After the last one there are no further attempts."""

RUNS_QUEUE = "loom.coordinator.runs"
FACTS_QUEUE = "loom.coordinator.facts"
QUARANTINE_QUEUE = "loom.quarantine"
REPLAY_QUEUE = "loom.replay"
RUN_ENDS_QUEUE = "loom.quarantine.run-ends"
DEAD_QUEUE = "loom.dead"


CONSUMERS: Mapping[str, str] = MappingProxyType(
    {
        RUNS_QUEUE: "coordinator",
        FACTS_QUEUE: "coordinator",
        "loom.extract": "extractor",
        "loom.transform": "transformer",
        "loom.evaluate": "evaluator",
        "loom.load": "loader",
        QUARANTINE_QUEUE: "quarantine",
        REPLAY_QUEUE: "quarantine",
        RUN_ENDS_QUEUE: "quarantine",
    }
)
"""Holds the service that consumes each queue, in the order in which a record meets them. `loom.dead` is for people."""


def work_queue(stage: Stage) -> str:
    """Return the queue of a stage, which all its replicas share."""
    return f"loom.{stage}"


def step_queue(step: str) -> str:
    """Return the queue of a step that has one of its own. Steps of several pipelines with the same name share it, as
    all pipelines share the queue of a stage."""
    return f"{work_queue(Stage.TRANSFORM)}.{step}"


def is_of_a_step(queue: str) -> bool:
    """Tell whether a queue is that of a step, and not one in which messages wait to be tried again."""
    return queue.startswith(step_queue("")) and "." not in queue.removeprefix(step_queue(""))


def consumer_of(queue: str) -> str:
    """Return the service that consumes a queue. Raises `KeyError` for one that no service consumes."""
    return CONSUMERS[work_queue(Stage.TRANSFORM) if is_of_a_step(queue) else queue]


def retry_queue(queue: str, step: int) -> str:
    """Return the queue in which messages of `queue` wait for the `step`-th retry (0-based position in
    `RETRY_DELAYS`)."""
    return f"{queue}.retry.{RETRY_DELAYS[step]:g}s"


@lru_cache(maxsize=256)
def work(stage: Stage, pipeline: str) -> Route:
    """Return the route of a batch or slice to `stage`, and of what is asked about a source or a destination before
    the first slice."""
    return Route(Exchange.WORK, f"{stage}.{pipeline}")


def own_step(step: str, pipeline: str) -> Route:
    """Return the route of a batch to a step that has a queue of its own."""
    return Route(Exchange.WORK, f"step.{step}.{pipeline}")


def replay(pipeline: str) -> Route:
    """Return the route of a slice of quarantined records, which the quarantine service reads as an extractor reads a
    source."""
    return Route(Exchange.WORK, f"replay.{pipeline}")


def quarantine(stage: Stage, pipeline: str) -> Route:
    """Return the route of records that `stage` did not let through."""
    return Route(Exchange.QUARANTINE, f"quarantine.{stage}.{pipeline}")


def discard(pipeline: str) -> Route:
    """Return the route by which the coordinator sends on a request to discard quarantined records."""
    return Route(Exchange.QUARANTINE, f"quarantine.discard.{pipeline}")


def loaded_after_all(pipeline: str) -> Route:
    """Return the route of loaded records that the quarantine may hold."""
    return Route(Exchange.QUARANTINE, f"quarantine.loaded.{pipeline}")


def fact(entity: str, what: str, pipeline: str) -> Route:
    """Return the route of something that happened: `batch.loaded.reviews`, `run.finished.reviews`."""
    return Route(Exchange.EVENTS, f"{entity}.{what}.{pipeline}")


def beat(service: str) -> Route:
    """Return the route of a replica's heartbeat."""
    return fact("worker", "beat", service)


def started(service: str) -> Route:
    """Return the route of what a replica asks that has just started."""
    return fact("worker", "started", service)


def run_command(verb: str) -> Route:
    """Return the route of a command to the coordinator: `request`, `register`, `cancel`, `pause`, `resume`,
    `priority`, `replay`, `discard`."""
    return Route(Exchange.RUNS, f"run.{verb}")


def control(service: str) -> Route:
    """Return the route of a message from the coordinator to every replica of `service` (`all` for every service)."""
    return Route(Exchange.CONTROL, f"control.{service}")


def _with_retries(name: str, *bindings: Binding) -> tuple[Queue, ...]:
    steps = enumerate(RETRY_DELAYS)
    retry_queues = (Queue(retry_queue(name, step), ttl=seconds, returns_to=name) for step, seconds in steps)
    return (Queue(name, bindings), *retry_queues)


def step_topology(*steps: str) -> Topology:
    """Return what has to be declared for steps with queues of their own."""
    queues = (_with_retries(step_queue(step), Binding(Exchange.WORK, f"step.{step}.#")) for step in steps)
    return Topology(tuple(queue for each in queues for queue in each), (Exchange.WORK, Exchange.DEAD))


TOPOLOGY = Topology(
    queues=(
        Queue(RUNS_QUEUE, (Binding(Exchange.RUNS, "run.*"),)),
        *(queue for stage in Stage for queue in _with_retries(work_queue(stage), Binding(Exchange.WORK, f"{stage}.#"))),
        *_with_retries(REPLAY_QUEUE, Binding(Exchange.WORK, "replay.#")),
        *_with_retries(QUARANTINE_QUEUE, Binding(Exchange.QUARANTINE, "quarantine.#")),
        *_with_retries(RUN_ENDS_QUEUE, Binding(Exchange.EVENTS, "run.finished.*")),
        Queue(
            FACTS_QUEUE,
            (
                Binding(Exchange.EVENTS, "source.#"),
                Binding(Exchange.EVENTS, "slice.#"),
                Binding(Exchange.EVENTS, "batch.#"),
                Binding(Exchange.EVENTS, "records.#"),
                Binding(Exchange.EVENTS, "load.#"),
                Binding(Exchange.EVENTS, "stage.#"),
            ),
        ),
        Queue(DEAD_QUEUE, (Binding(Exchange.DEAD, "#"),)),
    ),
)
