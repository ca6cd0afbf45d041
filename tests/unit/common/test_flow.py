"""Tests that the way of a record, as data, has no dead end."""

from loom_common import flow
from loom_common.flow import TOPOLOGY, Exchange, Stage


def test_the_stages_follow_one_another_to_the_destination():
    way = [Stage.EXTRACT]
    while (following := way[-1].next) is not None:
        way.append(following)
    assert way == [Stage.EXTRACT, Stage.TRANSFORM, Stage.EVALUATE, Stage.LOAD]


def test_every_work_queue_has_a_retry_queue_for_every_delay():
    names = {queue.name for queue in TOPOLOGY.queues}
    for stage in Stage:
        for step in range(len(flow.RETRY_DELAYS)):
            assert flow.retry_queue(flow.work_queue(stage), step) in names


def test_every_retry_queue_gives_back_to_a_queue_that_exists():
    names = {queue.name for queue in TOPOLOGY.queues}
    retry_queues = [queue for queue in TOPOLOGY.queues if queue.ttl is not None]
    assert retry_queues
    assert all(queue.returns_to in names for queue in retry_queues)


def test_every_exchange_but_control_reaches_a_queue():
    bound = {binding.exchange for queue in TOPOLOGY.queues for binding in queue.bindings}
    assert bound == {exchange for exchange in Exchange if exchange} - {Exchange.CONTROL}
