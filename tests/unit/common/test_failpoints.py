"""Tests orders to fail: read, counted, carried out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.wrapped.failing_bus import FailingBus
from loom_common.errors import ConfigurationError
from loom_common.flow import Queue, Topology
from loom_common.ports.bus import Wire
from loom_common.resilience import failpoints
from loom_common.resilience.failpoints import EXIT_CODE, FailpointError, parse, reach


@pytest.fixture
def arm() -> Iterator[object]:
    yield failpoints.arm
    failpoints.disarm()


@pytest.mark.parametrize(
    ("order", "service", "point", "nth", "action", "seconds"),
    [
        ("loader:before_ack:3", "loader", "before_ack", 3, "exit", 0.0),
        ("*:before_publish:*:twice", "*", "before_publish", None, "twice", 0.0),
        ("coordinator:mid_relay:1:sleep=0.5", "coordinator", "mid_relay", 1, "sleep", 0.5),
    ],
)
def test_an_order_names_service_point_time_and_action(order, service, point, nth, action, seconds):
    name, failpoint = parse(order)

    assert name == service
    assert failpoint.point == point
    assert failpoint.nth == nth
    assert failpoint.action == action
    assert failpoint.seconds == seconds


@pytest.mark.parametrize("order", ["", "loader", "loader:nowhere:1", "loader:before_ack:soon", "a:before_ack:1:jump"])
def test_what_is_no_order_is_refused_with_what_was_expected(order):
    with pytest.raises(ConfigurationError, match="LOOM_FAILPOINT"):
        parse(order)


async def test_only_the_nth_time_counts(arm):
    arm("loader", "loader:before_ack:2:raise")

    await reach("before_ack")
    with pytest.raises(FailpointError):
        await reach("before_ack")
    await reach("before_ack")


async def test_an_order_for_another_service_is_not_ours(arm):
    arm("loader", "extractor:before_ack:1:raise,transformer:before_ack:1:raise")

    await reach("before_ack")
    assert not failpoints.armed()


def test_exit_is_at_once_and_looks_like_a_kill():
    code = (
        "import asyncio; from loom_common.resilience import failpoints;"
        "failpoints.arm('loader', 'loader:after_ack:1'); asyncio.run(failpoints.reach('after_ack')); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == EXIT_CODE
    assert "alive" not in done.stdout


async def test_what_is_published_twice_arrives_twice(arm):
    bus = MemoryBus()
    await bus.declare(Topology((Queue("inbox"),)))
    arm("loader", "loader:before_publish:*:twice")

    await FailingBus(bus).publish([Wire("", "inbox", b"a"), Wire("", "inbox", b"b")])

    assert await bus.depth("inbox") == 4


async def test_half_of_a_publication_is_confirmed_when_it_is_interrupted(arm):
    bus = MemoryBus()
    await bus.declare(Topology((Queue("inbox"),)))
    arm("loader", "loader:mid_publish:1:raise")

    with pytest.raises(FailpointError):
        await FailingBus(bus).publish([Wire("", "inbox", b"a"), Wire("", "inbox", b"b")])

    assert await bus.depth("inbox") >= 1
