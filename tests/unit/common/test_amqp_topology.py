import pytest

from loom_common.adapters.amqp.topology import arguments_of
from loom_common.flow import TOPOLOGY, Binding, Exchange, Queue

NEVER_LOST = {"x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def test_a_work_queue_sends_what_is_delivered_too_often_to_the_dead():
    queue = Queue("loom.load", (Binding(Exchange.WORK, "load.#"),))
    assert arguments_of(queue) == NEVER_LOST | {"x-delivery-limit": 100, "x-dead-letter-exchange": "loom.dead"}


def test_a_retry_queue_gives_back_by_the_direct_exchange_after_its_time():
    queue = Queue("loom.load.retry.0.3s", ttl=0.3, returns_to="loom.load")
    assert arguments_of(queue) == NEVER_LOST | {
        "x-delivery-limit": 100,
        "x-message-ttl": 300,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "loom.load",
    }


def test_the_dead_may_be_looked_at_as_often_as_anybody_likes():
    arguments = arguments_of(Queue("loom.dead", (Binding(Exchange.DEAD, "#"),)))
    assert arguments["x-delivery-limit"] > 1_000_000
    assert "x-dead-letter-exchange" not in arguments


@pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda queue: queue.name)
def test_every_queue_of_the_topology_has_a_delivery_limit_of_its_own(queue):
    assert arguments_of(queue)["x-delivery-limit"] >= 100  # RabbitMQ 4 has 20 where none is set
