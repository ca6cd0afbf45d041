"""Tests that a destination which was checked is the one that batches are loaded into."""

from __future__ import annotations

import pytest

from loom_common.caching.resource_cache import ResourceCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import CheckDestination
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import DependencyUnavailable, DestinationError
from loom_common.resilience.breakers import Breakers
from loom_common.worker.context import Context
from loom_connectors.ports.destination import Guarantee
from loom_loader.destination_check import DestinationCheck
from support.clocks import ManualClock
from support.plans import GivenPlans, plan_of

PLAN = plan_of({"type": "passthrough"})
ASKED = CheckDestination(run_id="run_1", pipeline=PLAN.pipeline.name, plan=PLAN.hash, epoch=1)


class Place:
    """Represents a destination that does what it should, until it is told what its next check raises."""

    guarantee = Guarantee.LEDGER
    effect = "rows are added"
    location = "out.csv"

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.open = True

    async def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def close(self) -> None:
        self.open = False


class Plant:
    def __init__(self) -> None:
        self.plan = PLAN
        self.destinations: ResourceCache[Place] = ResourceCache()
        self.opened: list[Place] = []
        self.next: list[Exception] = []
        self.refused: Exception | None = None
        self.check = DestinationCheck(GivenPlans(self.plan), self.destinations, self._open, Breakers(), Credentials())

    async def _open(self, plan) -> Place:
        if self.refused is not None:
            raise self.refused
        self.opened.append(Place())
        self.opened[-1].trouble = self.next.pop(0) if self.next else None
        return self.opened[-1]

    async def looked_at(self) -> list[bool]:
        """Have the destination checked; return whether each check is well."""
        answer = await self.check(ASKED, Context(Attempt(), ManualClock()))
        return [check.ok for check in answer.checks]

    async def loads_into(self) -> Place:
        """Return what the next batch is loaded into."""
        async with self.destinations.of(ASKED.plan, lambda: self._open(self.plan)) as place:
            return place


@pytest.fixture
def plant() -> Plant:
    return Plant()


async def test_batches_are_loaded_into_what_was_checked(plant):
    assert await plant.looked_at() == [True]
    assert await plant.loads_into() is plant.opened[0]
    assert [place.open for place in plant.opened] == [True]


async def test_what_is_open_for_batches_is_what_is_checked_for_the_next_run(plant):
    place = await plant.loads_into()
    assert await plant.looked_at() == [True]
    assert await plant.loads_into() is place
    assert [each.open for each in plant.opened] == [True, False]


async def test_settings_that_are_refused_by_now_are_found_although_a_destination_is_open(plant):
    place = await plant.loads_into()
    plant.refused = DestinationError("it is the source")
    assert await plant.looked_at() == [False]
    assert place.open


async def test_what_does_not_do_is_closed_and_the_next_one_is_opened_anew(plant):
    plant.next = [DestinationError("no such table")]
    assert await plant.looked_at() == [False]
    assert [place.open for place in plant.opened] == [False]
    assert await plant.looked_at() == [True]
    assert await plant.loads_into() is plant.opened[1]


async def test_what_was_open_and_does_not_do_is_checked_once_more_after_it_was_opened_anew(plant):
    (await plant.loads_into()).trouble = DependencyUnavailable("the connection was lost")
    assert await plant.looked_at() == [True]
    assert [place.open for place in plant.opened] == [False, True]
    assert await plant.loads_into() is plant.opened[1]


async def test_whoever_loads_into_what_does_not_do_any_more_goes_on_with_it(plant):
    async with plant.destinations.of(ASKED.plan, lambda: plant._open(plant.plan)) as place:
        place.trouble = DestinationError("the table is gone")
        assert await plant.looked_at() == [True]
        assert place.open
    assert not place.open


async def test_what_is_away_is_asked_for_again(plant):
    plant.next = [DependencyUnavailable("nobody answers")]
    with pytest.raises(DependencyUnavailable):
        await plant.looked_at()
    assert [place.open for place in plant.opened] == [False]
    assert await plant.looked_at() == [True]
