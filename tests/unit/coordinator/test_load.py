"""Rates and loads come from two beats of each replica, and only from replicas that are up."""

import pytest

from loom_common.contracts.v1 import BreakerBeat, QueueBeat, WorkerBeat
from loom_coordinator.flow_control.fleet_load import FleetLoad, Replica, loads
from loom_coordinator.flow_control.heartbeats import RATE_SECONDS, Heartbeat

QUEUE = "loom.transform"


def beat(uptime, *, name="a", handled=0, busy=0.0, in_hand=0, prefetch=8, rss=100, limit=None, **more):
    queue = QueueBeat(
        queue=QUEUE,
        prefetch=prefetch,
        in_hand=in_hand,
        handled=handled,
        failed=0,
        retried=0,
        attempts=handled,
        seconds_busy=busy,
    )
    return WorkerBeat(
        **{
            "service": "transformer",
            "replica": name,
            "uptime": uptime,
            "configured_prefetch": 8,
            "queues": (queue,),
            "rss_bytes": rss,
            "memory_limit_bytes": limit,
            "breakers": (),
            "draining": False,
            **more,
        }
    )


OPEN = BreakerBeat(upstream="https://models", state="open", failures=5, probe_in=30.0)
SHAKEN = BreakerBeat(upstream="https://spare", state="closed", failures=1, probe_in=0.0)


def test_a_queue_is_the_sum_of_its_replicas():
    fleet = [
        Replica(beat(20, handled=30, busy=15.0, in_hand=3, prefetch=4), beat(10, handled=10, busy=5.0), silent=1),
        Replica(beat(9, name="b", handled=5, busy=5.0, in_hand=8, rss=900, limit=1000), beat(4, name="b"), silent=2),
    ]
    assert loads(fleet) == {
        QUEUE: FleetLoad(
            queue=QUEUE,
            service="transformer",
            replicas=2,
            prefetch=(4, 8),
            configured=8,
            in_flight=11,
            handled=2.0 + 1.0,
            failed=0.0,
            retried=0.0,
            seconds=15.0 / 25,
            memory=0.9,
            away=(),
        )
    }


def test_one_beat_alone_tells_no_rate():
    [load] = loads([Replica(beat(5, handled=50, busy=3.0, in_hand=2), None, silent=0)]).values()
    assert (load.handled, load.seconds, load.in_flight) == (0.0, None, 2)


def test_only_breakers_that_are_open_are_away():
    [load] = loads([Replica(beat(5, breakers=(OPEN, SHAKEN)), None, silent=0)]).values()
    assert load.away == ("https://models",)


@pytest.mark.parametrize(
    ("silent", "draining", "up", "lost"),
    [(1, False, True, False), (1, True, True, False), (30, False, False, True), (30, True, False, False)],
)
def test_who_falls_silent_is_lost_unless_it_was_asked_to_stop(silent, draining, up, lost):
    replica = Replica(beat(5, draining=draining), None, silent=silent)
    assert (replica.up, replica.lost, len(loads([replica]))) == (up, lost, int(up))


def test_rates_reach_back_as_far_as_they_should_and_no_further():
    heard = Heartbeat()
    for second in range(0, 61, 2):
        heard.add(beat(float(second)), at=second)
    assert heard.beats[-1].uptime - heard.beats[0].uptime == pytest.approx(RATE_SECONDS)
    assert heard.at == 60


def test_after_a_long_silence_the_last_two_beats_tell_the_rate():
    heard = Heartbeat()
    for uptime in (0.0, 2.0, 100.0):
        heard.add(beat(uptime), at=uptime)
    assert [each.uptime for each in heard.beats] == [2.0, 100.0]
