"""Facts of batches that end at the same moment are one message, as soon as every coordinator reads it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.wrapped.facts_together import (
    APART_SECONDS,
    COUNT,
    HEARD_SECONDS,
    LARGEST,
    MOST,
    READS_TOGETHER,
    FactsTogether,
    Readers,
)
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchFact, BatchFacts, BatchHeader, PrefetchLimit, RunEpoch
from loom_common.domain.run.tally import Tally
from loom_common.errors import DependencyUnavailable
from loom_common.flow import Exchange, Stage
from loom_common.ports.bus import Wire

READS = SimpleNamespace(type=PrefetchLimit.type, headers={READS_TOGETHER: 1})
READS_NOT = SimpleNamespace(type=PrefetchLimit.type, headers={})


def fact(number: int, run: str = "run_1") -> BatchFact:
    header = BatchHeader(
        run_id=run, pipeline="p", plan="plan", epoch=1, batch_id=f"{run}-{number}", partition=0, slice=0,
        position=number, tally=Tally(extracted=1, loaded=1),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.LOAD, seconds=0.1)


def wire(message: BatchFact) -> Wire:
    return encode(Outgoing(flow.fact("batch", Stage.LOAD.done, message.header.pipeline), message), "loader")


class Recording(MemoryBus):
    """Keeps what is published, and refuses it while it is `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Wire] = []
        self.away = False

    async def publish(self, messages) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise DependencyUnavailable("away")
        self.published += messages


def together(*, all_read: bool = True) -> tuple[Recording, FactsTogether]:
    readers = Readers()
    if all_read:
        readers.hear(READS)
    bus = Recording()
    return bus, FactsTogether(bus, readers)


async def publish(bus: FactsTogether, *facts: BatchFact) -> None:
    await asyncio.gather(*(bus.publish([wire(each)]) for each in facts))


def facts_in(message: Wire) -> list[BatchFact]:
    found = decode(message, BatchFact, BatchFacts)
    return list(found.facts) if isinstance(found, BatchFacts) else [found]


async def test_facts_of_one_moment_are_one_message_with_all_that_each_says():
    below, bus = together()
    facts = [fact(number) for number in range(3)]
    await publish(bus, *facts)

    (message,) = below.published
    assert facts_in(message) == facts
    assert (message.routing_key, message.correlation_id, message.headers[COUNT]) == ("batch.loaded.p", "run_1", 3)


async def test_facts_that_are_set_aside_stay_as_they_came():
    below, bus = together()
    aside = [replace(wire(fact(number)), exchange=Exchange.DEAD, body=b'{"header') for number in range(3)]
    await asyncio.gather(*(bus.publish([each]) for each in aside))
    assert below.published == aside


async def test_its_id_is_that_of_the_message_it_encodes():
    below, bus = together()
    await publish(bus, fact(0), fact(1))

    (message,) = below.published
    assert message.message_id == decode(message, BatchFacts).message_id


async def test_a_fact_alone_is_published_as_it_is():
    below, bus = together()
    await publish(bus, fact(0))

    assert below.published == [wire(fact(0))]


async def test_facts_of_different_runs_are_apart():
    below, bus = together()
    await publish(bus, fact(0), fact(0, "run_2"), fact(1))

    assert [[each.header.run_id for each in facts_in(one)] for one in below.published] == [["run_1"] * 2, ["run_2"]]


async def test_a_message_has_no_more_than_so_many():
    below, bus = together()
    facts = [fact(number) for number in range(MOST + 2)]
    await publish(bus, *facts)

    assert [len(facts_in(one)) for one in below.published] == [MOST, 2]
    assert [each for one in below.published for each in facts_in(one)] == facts


async def test_a_fact_after_others_have_gone_begins_a_message_of_its_own():
    below, bus = together()
    await publish(bus, fact(0), fact(1))
    await publish(bus, fact(2), fact(3))

    assert [len(facts_in(one)) for one in below.published] == [2, 2]


async def test_what_is_large_or_no_fact_or_published_with_others_is_left_alone():
    below, bus = together()
    large = [fact(number).model_copy(update={"rows": ({"text": "x" * LARGEST},)}) for number in (0, 3)]
    other = Wire("", "queue", b"{}", type="loom.records.kept.v1")
    alone = [*map(wire, large), other, other]
    await asyncio.gather(*(bus.publish([each]) for each in alone), bus.publish([wire(fact(1)), wire(fact(2))]))

    assert {one.type for one in below.published} == {BatchFact.type, other.type}
    assert len(below.published) == 6


async def test_everybody_is_told_that_the_broker_is_away():
    below, bus = together()
    below.away = True
    outcomes = await asyncio.gather(*(bus.publish([wire(fact(number))]) for number in range(3)), return_exceptions=True)

    assert [type(each) for each in outcomes] == [DependencyUnavailable] * 3


async def test_who_gives_up_takes_no_fact_of_others_along():
    below, bus = together()
    first, second = (asyncio.create_task(bus.publish([wire(fact(number))])) for number in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second

    assert [len(facts_in(one)) for one in below.published] == [2]
    assert first.cancelled()


async def test_facts_are_apart_until_a_coordinator_says_that_it_reads_them_together():
    below, bus = together(all_read=False)
    await publish(bus, fact(0), fact(1))

    assert [one.type for one in below.published] == [BatchFact.type] * 2


class Times:
    """Stands at the second it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def times() -> Times:
    return Times()


def test_one_coordinator_that_does_not_read_them_keeps_facts_apart(times):
    readers = Readers(times)
    readers.hear(READS)
    assert readers.all_read
    readers.hear(READS_NOT)
    readers.hear(READS)
    assert not readers.all_read

    times.now = APART_SECONDS
    assert readers.all_read


def test_facts_are_apart_when_no_coordinator_has_been_heard_for_long(times):
    readers = Readers(times)
    readers.hear(READS)
    times.now = HEARD_SECONDS - 1
    assert readers.all_read

    times.now = HEARD_SECONDS
    assert not readers.all_read


def test_what_else_is_said_to_every_replica_says_nothing_of_facts(times):
    readers = Readers(times)
    readers.hear(READS)
    readers.hear(SimpleNamespace(type=RunEpoch.type, headers={}))

    assert readers.all_read
