"""Large bodies go through the payload store, and nobody notices."""

import os

from loom_common.adapters.memory.broker import MemoryBroker
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.payloads.claim_check import CLAIM, LARGEST_INLINE, ClaimCheckBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.flow import TOPOLOGY, Exchange, Stage, work_queue
from loom_common.ports.bus import Wire

LARGE = os.urandom(LARGEST_INLINE + 1)


def wire(body, exchange=Exchange.WORK, key="load.p"):
    return Wire(exchange, key, body, correlation_id="run_1")


async def one(bus, queue):
    subscription = await bus.subscribe(queue, 1)
    delivery = await anext(aiter(subscription))
    await delivery.ack()
    await subscription.close()
    return delivery


async def buses(folder):
    plain = MemoryBus(MemoryBroker())
    await plain.declare(TOPOLOGY)
    payloads = FolderPayloads(folder)
    return plain, ClaimCheckBus(plain, payloads), payloads


async def test_a_large_body_arrives_whole_while_its_message_stayed_small(tmp_path):
    plain, bus, payloads = await buses(tmp_path)
    await bus.publish([wire(LARGE), wire(LARGE)])
    assert (await one(plain, work_queue(Stage.LOAD))).body == b""
    assert (await one(bus, work_queue(Stage.LOAD))).body == LARGE
    assert list(await payloads.owners()) == ["run_1"]


async def test_a_small_body_travels_in_its_message(tmp_path):
    plain, bus, payloads = await buses(tmp_path)
    await bus.publish([wire(b"small")])
    delivery = await one(plain, work_queue(Stage.LOAD))
    assert (delivery.body, CLAIM in delivery.headers) == (b"small", False)
    assert not await payloads.owners()


async def test_a_body_that_is_gone_makes_the_message_unreadable(tmp_path):
    _, bus, payloads = await buses(tmp_path)
    await bus.publish([wire(LARGE)])
    await payloads.forget("run_1")
    assert "not in the payload store" in (await one(bus, work_queue(Stage.LOAD))).content_encoding


async def test_what_no_one_could_read_outlives_its_run(tmp_path):
    _, bus, payloads = await buses(tmp_path)
    await bus.publish([wire(LARGE, Exchange.DEAD)])
    assert not await payloads.owners()
    assert (await one(bus, "loom.dead")).body == LARGE
