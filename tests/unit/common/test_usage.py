"""What a batch takes in model calls is told, whatever becomes of the batch."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchExtracted, BatchFact, BudgetSpent, CallsPaid, StageDelayed, StageFailed
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.calls import Calls
from loom_common.errors import BreakerOpen, BudgetExhausted, DependencyUnavailable, PermanentError, WorkerWornOut
from loom_common.flow import FACTS_QUEUE, TOPOLOGY, Stage
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker
from loom_dev.waiting import within
from support.plans import batch_of, plan_of

QUEUE = flow.work_queue(Stage.TRANSFORM)
PLAN = plan_of({"type": "passthrough"})
CALL = Calls(purpose="transform", provider="openai", model="m", made=1, tokens_in=10, tokens_out=2, cost=0.5)
EXHAUSTED = BudgetExhausted(1.0, 0.9, 0.2)


async def told(error: Exception | None, *, attempt: int = 1, exhausted: bool = False, late: bool = False):
    """Return the facts that a worker tells of a batch whose handler paid for two calls, then raised `error`."""
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)

    async def handle(message, context):
        usage = context.usage
        usage.enter("k1", "r1", CALL)
        usage.enter("k1", "r1", CALL)  # met again: counts once
        if late:  # begun, and still under way when the handler gives up

            async def landing():
                await asyncio.sleep(0)
                usage.enter("k2", "r2", CALL)

            usage.under_way.add(asyncio.create_task(landing()))
        else:
            usage.enter("k2", "r2", CALL)
        if exhausted:
            usage.exhausted = EXHAUSTED
        if error is not None:
            raise error
        return []

    batch = batch_of(PLAN, [{"n": 1}, {"n": 2}])
    batch = batch.model_copy(update={"header": batch.header.model_copy(update={"budget": Budget(limit=1.0)})})
    route = flow.work(Stage.TRANSFORM, "reviews")
    await bus.publish([encode(Outgoing(route, batch, attempt=attempt), "test")])
    stop = asyncio.Event()
    working = asyncio.create_task(
        Worker("test", ConsumerSpec(QUEUE, (Accepts(BatchExtracted, handle, router.nothing),)), bus, EpochGuard()).run(
            stop
        )
    )
    facts = []
    subscription = await bus.subscribe(FACTS_QUEUE, 10)
    with suppress(TimeoutError):
        async with within(5):
            async for delivery in subscription:
                facts.append(decode(delivery))
                await delivery.ack()
                if not isinstance(facts[-1], CallsPaid):
                    break
    stop.set()
    await working
    await bus.close()
    return facts


@pytest.mark.parametrize(
    ("error", "attempt", "follows"),
    [
        (DependencyUnavailable("away"), 1, StageDelayed),
        (PermanentError("no"), 1, StageFailed),
        (EXHAUSTED, 1, BudgetSpent),
        (BreakerOpen("m", probe_in=900, opened_for=5, opening=1), 1, StageDelayed),
    ],
)
async def test_a_batch_that_is_not_done_tells_what_it_took(error, attempt, follows):
    facts = await told(error, attempt=attempt)
    paid = [fact for fact in facts if isinstance(fact, CallsPaid)]
    assert any(isinstance(fact, follows) for fact in facts)
    if follows is not StageDelayed or not isinstance(error, BreakerOpen):
        assert (paid[0].calls[0].made, paid[0].calls[0].cost) == (2, 1.0)


async def test_a_batch_that_is_given_up_has_its_calls_in_the_tally():
    """The hole this closes: past the last attempt the records were kept, and what they had cost was forgotten."""
    facts = await told(DependencyUnavailable("away"), attempt=5)
    [fact] = [fact for fact in facts if isinstance(fact, BatchFact)]
    assert (fact.header.tally.quarantined, fact.header.tally.calls_made, fact.header.tally.cost_transform) == (
        2,
        2,
        1.0,
    )
    assert fact.calls[0].made == 2


async def test_calls_under_way_when_a_batch_is_given_up_are_waited_for():
    facts = await told(EXHAUSTED, late=True)
    assert isinstance(facts[0], CallsPaid)
    assert facts[0].calls[0].made == 2


async def test_a_call_not_made_for_want_of_money_outweighs_what_the_handler_made_of_it():
    for error in (None, DependencyUnavailable("away")):
        facts = await told(error, exhausted=True)
        assert [type(fact) for fact in facts] == [CallsPaid, BudgetSpent]
        assert (facts[1].limit, facts[1].gone, facts[1].needed) == (1.0, 0.9, 0.2)


async def test_what_was_paid_is_told_where_the_run_ends_while_the_batch_waits_for_its_upstream():
    facts = await told_by(BreakerOpen("m", opened_for=5, probe_in=0.2, opening=1), ends_meanwhile=True)
    assert [each.calls for each in facts if isinstance(each, CallsPaid)] == [(CALL,)]


async def test_what_was_paid_is_told_where_a_worn_out_process_fails_the_run():
    facts = await told_by(WorkerWornOut("8 threads hang."), replaceable=False)
    assert [type(each) for each in facts] == [CallsPaid, StageFailed]


async def told_by(error: Exception, *, ends_meanwhile: bool = False, replaceable: bool = True):
    """Return the two facts of a worker whose handler paid for a call, then raised `error`."""
    bus, guard, stop = MemoryBus(), EpochGuard(), asyncio.Event()
    await bus.declare(TOPOLOGY)

    async def handle(_, context):
        context.usage.enter("k1", "r1", CALL)
        if ends_meanwhile:
            guard.learn("run_1", 2)
        raise error

    consumer = ConsumerSpec(QUEUE, (Accepts(BatchExtracted, handle, router.nothing),))
    worker = Worker("test", consumer, bus, guard, replaceable=replaceable)
    batch = Outgoing(flow.work(Stage.TRANSFORM, "reviews"), batch_of(PLAN, [{"a": 1}], "run_1"))
    await bus.publish([encode(batch, "test")])
    working = asyncio.create_task(worker.run(stop))
    async with within(10):
        while await bus.depth(FACTS_QUEUE) < 2:
            await asyncio.sleep(0.01)
    stop.set()
    await working
    count = await bus.depth(FACTS_QUEUE)
    subscription = aiter(await bus.subscribe(FACTS_QUEUE, prefetch=count))
    facts = [decode(await anext(subscription), CallsPaid, StageDelayed, StageFailed) for _ in range(count)]
    await bus.close()
    return facts
