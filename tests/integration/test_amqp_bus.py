"""Tests what only a real broker does to a bus: it restarts, drops connections, loses queues, refuses logins."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from yarl import URL

from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, Unroutable
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.ports.bus import Delivery, Subscription, Wire
from loom_dev.waiting import within
from support.proxy import Proxy

TOPOLOGY = Topology((Queue("test.work", (Binding(Exchange.WORK, "load.#"),)),))

REMEMBER_QUORUM_QUEUES = "dets:sync(ra_directory_reverse)."
"""RabbitMQ 3.10 writes the list of its quorum queues to disk only every three minutes and at an orderly stop. Killed
before that, it takes a queue it finds for one that was never started, and it answers to nothing any more."""

AWAIT_DEAD_LETTER_WORKERS = (
    "[sys:get_state(Worker) || {_, Worker, _, _} <- supervisor:which_children(rabbit_fifo_dlx_sup), is_pid(Worker)]."
)
"""RabbitMQ 3.10 can hold no more dead-lettering quorum queues, until it is restarted, once such a queue was deleted
while its worker was starting: which the end of a test, and of its virtual host, could do right after a restart."""


def work(*names: object) -> list[Wire]:
    return [Wire("loom.work", "load.reviews", str(name).encode(), message_id=str(name)) for name in names]


async def take(subscription: Subscription, count: int = 1) -> list[Delivery]:
    deliveries = aiter(subscription)
    async with within(30):
        return [await anext(deliveries) for _ in range(count)]


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with within(30):
        while not await condition():
            await asyncio.sleep(0.05)


async def routable(bus: AmqpBus, wire: Wire) -> bool:
    """Publish; whether there was a way."""
    try:
        await bus.publish([wire])
    except Unroutable:
        return False
    return True


async def any_logged(logged: Sequence[Mapping[str, object]], event: str) -> bool:
    return any(entry["event"] == event for entry in logged)


def drop_connections(rabbitmq, url: str) -> None:
    """Close every connection to the test's virtual host, as an operator would."""
    vhost = URL(url).path.removeprefix("/")
    rabbitmq.ctl("close_all_connections", "--vhost", vhost, "a test")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AmqpBus]:
    bus = await AmqpBus.connect(SecretStr(url), name="test", patience=40)
    await bus.declare(TOPOLOGY)
    yield bus
    await bus.close()


@pytest.fixture
async def bus(amqp_url):
    async with connected(amqp_url) as bus:
        yield bus


@pytest.fixture
async def own_bus(own_rabbitmq):
    """Provide a bus on a broker that the test may end."""
    with own_rabbitmq.vhost() as url:
        async with connected(url) as bus:
            yield bus


async def test_a_deleted_queue_is_declared_again_and_consumed(rabbitmq, amqp_url, bus):
    subscription = await bus.subscribe("test.work", prefetch=5)
    await asyncio.to_thread(rabbitmq.api, "DELETE", f"/queues{URL(amqp_url).path}/test.work")

    await eventually(lambda: routable(bus, *work(1)))

    assert [delivery.body for delivery in await take(subscription)] == [b"1"]


async def test_a_consumer_waits_for_a_queue_that_somebody_else_declares(rabbitmq, amqp_url, bus):
    other = await AmqpBus.connect(amqp_url, name="other")
    try:
        subscription = await other.subscribe("test.work", prefetch=5)
        with capture_logs() as logged:
            await asyncio.to_thread(rabbitmq.api, "DELETE", f"/queues{URL(amqp_url).path}/test.work")
            await eventually(lambda: any_logged(logged, "queue was gone"))
        await bus.declare(TOPOLOGY)
        await bus.publish(work(1))
        assert [delivery.body for delivery in await take(subscription)] == [b"1"]
    finally:
        await other.close()


async def test_connections_dropped_under_load_lose_nothing(rabbitmq, amqp_url, bus):
    subscription = await bus.subscribe("test.work", prefetch=20)
    published: set[bytes] = set()
    seen: set[bytes] = set()
    calm = asyncio.Event()

    async def publish() -> None:
        while not calm.is_set():
            messages = work(*range(len(published), len(published) + 10))
            published.update(message.body for message in messages)
            await bus.publish(messages)
            await asyncio.sleep(0.005)  # a connection is dropped by a program that takes seconds to start
        published.add(b"last")
        await bus.publish(work("last"))

    async def consume() -> None:
        async for delivery in subscription:
            seen.add(delivery.body)
            await delivery.ack()
            if b"last" in published <= seen:
                return

    async with within(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(consume())
        tasks.create_task(publish())
        for _ in range(3):
            await asyncio.to_thread(drop_connections, rabbitmq, amqp_url)
        calm.set()

    assert len(published) > 100
    assert seen == published


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_publishing_and_consuming_go_on_after_the_broker_was_away(own_rabbitmq, own_bus, end):
    subscription = await own_bus.subscribe("test.work", prefetch=5)
    await own_bus.publish(work("before"))
    (held,) = await take(subscription)
    await asyncio.to_thread(own_rabbitmq.ctl, "eval", REMEMBER_QUORUM_QUEUES)
    await asyncio.to_thread(getattr(own_rabbitmq, end))
    publishing = asyncio.create_task(own_bus.publish(work("while away")))
    await held.ack()
    await subscription.set_prefetch(7)

    await asyncio.to_thread(own_rabbitmq.start)
    await publishing

    redelivered, new = await take(subscription, 2)
    assert (redelivered.body, redelivered.redelivered) == (b"before", True)
    assert new.body == b"while away"
    await asyncio.to_thread(own_rabbitmq.ctl, "eval", AWAIT_DEAD_LETTER_WORKERS)


async def test_publishing_gives_up_when_the_broker_stays_away(amqp_url):
    async with Proxy(amqp_url) as broker:
        bus = await AmqpBus.connect(broker.url, name="test", patience=0.5)
        queue = await bus.temporary_queue()
        subscription = await bus.subscribe(queue, prefetch=1)
    try:
        with pytest.raises(DependencyUnavailable, match=rf"127\.0\.0\.1:{broker.port}.*Check that it runs"):
            await bus.publish([Wire("", queue, b"1", message_id="1")])
        with pytest.raises(DependencyUnavailable):
            await bus.depth(queue)
    finally:
        await bus.close()
    assert [delivery async for delivery in subscription] == []


async def test_a_temporary_queue_comes_back_under_its_name_with_its_bindings(rabbitmq, amqp_url, bus):
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, "run.#")])
    subscription = await bus.subscribe(queue, prefetch=5)
    await asyncio.to_thread(drop_connections, rabbitmq, amqp_url)
    await eventually(lambda: routable(bus, Wire("loom.events", "run.finished.reviews", b"1", message_id="1")))
    await bus.publish([Wire("", queue, b"2", message_id="2")])
    assert [delivery.body for delivery in await take(subscription, 2)] == [b"1", b"2"]


async def test_what_was_delivered_before_the_connection_broke_comes_again(rabbitmq, amqp_url, bus):
    subscription = await bus.subscribe("test.work", prefetch=5)
    await bus.publish(work(1, 2))
    (stale,) = await take(subscription)
    await asyncio.to_thread(drop_connections, rabbitmq, amqp_url)

    again = await take(subscription, 2)
    await stale.ack()

    assert [(delivery.body, delivery.deliveries) for delivery in again] == [(b"1", 1), (b"2", 1)]


async def test_a_queue_that_is_full_makes_publishing_wait(rabbitmq, amqp_url, bus):
    arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
    path = f"/queues{URL(amqp_url).path}/test.full"
    await asyncio.to_thread(rabbitmq.api, "PUT", path, {"durable": True, "arguments": arguments})
    publishing = asyncio.create_task(
        bus.publish([Wire("", "test.full", b"%d" % n, message_id=str(n)) for n in range(9)])
    )

    subscription = await bus.subscribe("test.full", prefetch=1)
    seen = set()
    async with within(60, "all nine messages"):
        while len(seen) < 9:
            (delivery,) = await take(subscription)
            seen.add(delivery.body)
            await delivery.ack()

    await publishing


async def test_an_existing_queue_with_other_properties_is_named(rabbitmq, amqp_url, bus):
    path = f"/queues{URL(amqp_url).path}/test.other"
    await asyncio.to_thread(rabbitmq.api, "PUT", path, {"durable": True, "arguments": {"x-queue-type": "classic"}})
    with pytest.raises(ConfigurationError, match=r"test\.other"):
        await bus.declare(Topology((Queue("test.other"),)))


async def test_a_wrong_password_is_refused_by_host_and_not_shown(amqp_url):
    wrong = URL(amqp_url).with_password("open-sesame")
    with pytest.raises(AccessRefused, match=rf"127\.0\.0\.1:{wrong.port}.*Check the user and the password") as refused:
        await AmqpBus.connect(str(wrong), name="test")
    assert "open-sesame" not in str(refused.value)


async def test_a_virtual_host_that_is_not_there_is_refused(amqp_url):
    with pytest.raises(AccessRefused, match=r"/no-such-vhost did not open the virtual host"):
        await AmqpBus.connect(str(URL(amqp_url).with_path("/no-such-vhost")), name="test")


async def test_a_broker_that_cannot_be_reached_is_named_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DependencyUnavailable, match=rf"127\.0\.0\.1:{port}.*cannot be reached") as unreachable:
        await AmqpBus.connect(f"amqp://loom:open-sesame@127.0.0.1:{port}/", name="test")
    assert "open-sesame" not in str(unreachable.value)


@pytest.mark.parametrize("url", ["rabbit.example:5672", "http://rabbit.example/", "amqp://rabbit.example:port/"])
async def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await AmqpBus.connect(url, name="test")
