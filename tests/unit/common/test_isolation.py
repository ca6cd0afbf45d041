"""A record that takes its worker down is found, and its neighbours go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest

from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import DependencyUnavailable, TransientError, WorkerWornOut
from loom_common.flow import Stage
from loom_common.user_code.poison_isolation import MODEL_CALLS, USER_CODE, WHOLE_BATCHES, Isolation, ReadWriteLock, Risk
from loom_dev.waiting import within


@dataclass(frozen=True)
class Record:
    id: str


class Death(BaseException):
    """The process is gone: nothing of it runs any more, neither does any clean-up."""


class DyingMarks(MemoryMarks):
    """Keeps marks that the dead cannot change."""

    dead = False

    async def keep(self, batch, mark):
        if not self.dead:
            await super().keep(batch, mark)

    async def clear(self, batch):
        if not self.dead:
            await super().clear(batch)


FIRST = Attempt()
RECORDS = [Record(name) for name in ("ann", "ben", "cid", "dan")]


class Plant:
    """Runs a worker's processes, one after the other, over one store of marks."""

    def __init__(self, deadly: str | None = None, risk: Risk = USER_CODE) -> None:
        self.marks = DyingMarks()
        self.deadly = deadly
        self.risk = risk
        self.calls: list[list[str]] = []
        self.start()

    def start(self) -> None:
        self.marks.dead = False
        self.isolation = Isolation(self.marks, Stage.TRANSFORM)

    async def work(self, records):
        self.calls.append([record.id for record in records])
        for record in records:
            if record.id == self.deadly:
                self.marks.dead = True
                raise Death
        return [f"{record.id} done" for record in records]

    async def handle(self, records=RECORDS, attempt=FIRST):
        return await self.isolation.each(
            "b1", records, self.work, lambda record, error: f"{record.id} {error.code}", self.risk, attempt
        )

    async def until_it_ends(self) -> tuple[list[str], int]:
        """Run until the end, and return the outcomes and how many processes died."""
        for deaths in range(20):
            try:
                return await self.handle(), deaths
            except Death:
                self.start()
        raise AssertionError("it never ends")


async def test_a_batch_that_harms_nobody_is_taken_whole_and_leaves_no_mark():
    plant = Plant()
    assert await plant.handle() == ["ann done", "ben done", "cid done", "dan done"]
    assert plant.calls == [["ann", "ben", "cid", "dan"]]
    assert await plant.marks.begin("transform:b1", object()) is None


@pytest.mark.parametrize("deadly", [record.id for record in RECORDS])
async def test_only_the_record_that_kills_is_kept_away(deadly):
    outcomes, deaths = await Plant(deadly).until_it_ends()
    assert outcomes == [f"{each.id} {'poison' if each.id == deadly else 'done'}" for each in RECORDS]
    assert deaths == 3


async def test_model_calls_get_a_second_chance_together():
    plant = Plant("cid", MODEL_CALLS)
    outcomes, deaths = await plant.until_it_ends()
    assert outcomes == ["ann done", "ben done", "cid poison", "dan done"]
    assert deaths == 4
    assert plant.calls[1] == ["ann", "ben", "cid", "dan"]


async def test_two_that_kill_are_both_found():
    plant = Plant()
    plant.work = _killing(plant, {"ann", "dan"})
    outcomes, deaths = await plant.until_it_ends()
    assert outcomes == ["ann poison", "ben done", "cid done", "dan poison"]
    assert deaths == 5


def _killing(plant: Plant, deadly: set[str]):
    async def work(records):
        if deadly & {record.id for record in records}:
            plant.marks.dead = True
            raise Death
        return [f"{record.id} done" for record in records]

    return work


async def test_a_batch_that_is_set_down_by_an_error_is_no_suspect():
    plant = Plant()

    async def away(_):
        raise DependencyUnavailable("gone")

    fine, plant.work = plant.work, away
    with pytest.raises(DependencyUnavailable):
        await plant.handle()
    plant.start()
    plant.work = fine
    await plant.handle()
    assert plant.calls == [["ann", "ben", "cid", "dan"]]


async def test_a_second_delivery_in_the_same_process_is_no_suspect():
    plant = Plant()
    gate = asyncio.Event()
    fine = plant.work

    async def slow(records):
        await gate.wait()
        return await fine(records)

    plant.work = slow
    both = [asyncio.create_task(plant.handle()) for _ in range(2)]
    gate.set()
    await asyncio.gather(*both)
    assert plant.calls == [["ann", "ben", "cid", "dan"]] * 2


async def test_what_hung_is_kept_away_from_the_process_that_follows():
    plant = Plant()

    async def hangs(records):
        raise WorkerWornOut("8 threads hang", [RECORDS[1], RECORDS[3]])

    fine, plant.work = plant.work, hangs
    with pytest.raises(WorkerWornOut):
        await plant.handle()
    plant.start()
    plant.work = fine
    assert await plant.handle() == ["ann done", "ben timeout", "cid done", "dan timeout"]
    assert plant.calls == [["ann", "cid"]]


async def test_without_marks_it_goes_on():
    class NoMarks(MemoryMarks):
        async def begin(self, batch, mark):
            raise DependencyUnavailable("no marks today")

        keep = begin

        async def clear(self, batch):
            raise DependencyUnavailable("no marks today")

    plant = Plant()
    plant.isolation = Isolation(NoMarks(), Stage.TRANSFORM)
    assert len(await plant.handle()) == 4


async def test_a_batch_that_comes_back_again_and_again_is_suspect_without_a_mark():
    plant = Plant()
    await plant.handle(attempt=Attempt(redelivered=5))
    assert plant.calls == [["ann"], ["ben"], ["cid"], ["dan"]]


async def test_a_suspect_record_is_alone_in_its_process():
    lock, present, together = ReadWriteLock(), Counter(), []

    async def work(name):
        present[name] += 1
        together.append(dict(present))
        await asyncio.sleep(0)
        del present[name]

    async def shared(name):
        async with lock.shared():
            await work(name)

    async def alone(name):
        async with lock.alone():
            await work(name)

    await asyncio.gather(
        *(shared(f"shared {n}") for n in range(3)), alone("alone 1"), alone("alone 2"), shared("shared 3")
    )
    for seen in together:
        assert len(seen) == 1 or not any(name.startswith("alone") for name in seen)
    assert max(len(seen) for seen in together) == 3


async def test_who_gives_up_waiting_to_be_alone_holds_nobody_up():
    lock = ReadWriteLock()
    async with lock.shared():
        waiting = asyncio.create_task(lock.alone().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with within(1), lock.shared():
            pass


async def test_errors_of_the_work_are_raised_from_isolation_too():
    plant = Plant("ann")
    with pytest.raises(Death):
        await plant.handle()
    plant.start()

    async def away(_):
        raise TransientError("later")

    plant.work = away
    with pytest.raises(TransientError):
        await plant.handle()


async def test_a_batch_that_is_always_processed_as_a_whole_is_kept_back_as_a_whole():
    plant = Plant(deadly="cid", risk=WHOLE_BATCHES)
    for _ in range(2):
        with pytest.raises(Death):
            await plant.handle()
        plant.start()
    assert await plant.handle() == ["ann poison", "ben poison", "cid poison", "dan poison"]
    assert plant.calls == [["ann", "ben", "cid", "dan"]] * 2
