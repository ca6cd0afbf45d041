"""Holds an engine to what every engine keeps: the same rows, the same books, and no call paid for twice.

Each check is given an engine as its users have it: by `loom` in a folder of its own. `packages/loom_prefect` calls them
too, in another environment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loom_dev.waiting import within
from support.books import assert_balanced, assert_complete
from support.command import Command, Ended
from support.places import spent
from support.projects import Project, ai, ids, project, python, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 60
PER_CALL = 0.0000088
"""The USD that an average question of these checks and its answer cost."""
JUDGED = """
def judged(record):
    number = int(record["id"][1:])
    if number % 10 == 3:
        raise ValueError("this review has no mood")
    return {"score": number % 4 / 4}
"""
AT_LEAST_HALF = {"evaluators": [{"name": "half", "type": "range", "field": "score", "min": 0.5, "threshold": 1.0}]}

Begin = Callable[..., Awaitable[Command]]
"""Starts `loom` in a folder, with arguments and, as `environ`, what is in its environment besides."""


@dataclass(frozen=True)
class EngineUnderTest:
    """Represents an engine, and how it is started and killed."""

    name: str
    folder: Path
    begin: Begin
    crash: Callable[[EngineUnderTest, Project, Command, str], Awaitable[Command]]
    """Sends SIGKILL to what works on a run that a command follows, while the command does so, and returns a command
    that follows the run to its end."""
    table: str | None = None
    """A destination for each project, with its name in place of `{name}`; None for a file."""
    environ: Mapping[str, str] = field(default_factory=dict)

    def project(self, name: str, **more: Any) -> Project:
        name = f"engine_{name}"
        destination = "out.csv" if self.table is None else self.table.format(name=name)
        return project(self.folder / name, RECORDS, name=name, destination=destination, **more)

    async def run(self, made: Project, *arguments: str) -> Command:
        """Begin a run of a project."""
        return await self.loom(made, "run", "pipeline.yaml", "--format", "json", *arguments)

    async def loom(self, made: Project, *arguments: str) -> Command:
        return await self.begin(made.folder, *arguments, environ=self.environ)

    async def resumed(self, made: Project, run_id: str, *arguments: str) -> Ended:
        """Go on with a run, to its end."""
        command = await self.loom(made, "resume", run_id, "--format", "json", *arguments)
        return await command.end()

    async def run_id(self, made: Project) -> str:
        """Wait until the project's run is known, and return its id."""
        async with within(60):
            while not (found := await self._known(made)):
                await asyncio.sleep(0.05)
        return found

    async def _known(self, made: Project) -> str | None:
        ended = await (await self.loom(made, "history", made.definition["name"], "--format", "json")).end()
        runs = ended.report["runs"] if isinstance(ended.report, dict) else ended.report
        return runs[0]["run_id"] if runs else None


async def rows_and_books_are_the_same(engine: EngineUnderTest) -> None:
    """Each record comes to the end that the pipeline says, whatever carries it there."""
    made = engine.project("alike", extract={"batch_size": 7}, transform=python(), code=JUDGED, evaluate=AT_LEAST_HALF)
    ended = await (await engine.run(made)).end()
    numbers = {name: int(name[1:]) for name in review_ids(RECORDS)}
    broken = [name for name, number in numbers.items() if number % 10 == 3]
    passed = [name for name, number in numbers.items() if name not in broken and number % 4 >= 2]
    records = ended.report["records"]
    assert (ended.code, ids(await made.loaded(engine.environ))) == (0, passed)
    kept = (len(passed), len(broken), RECORDS - len(broken) - len(passed))
    assert (records["loaded"], records["quarantined"], records["rejected"]) == kept, records
    assert_balanced(ended.report)


async def killed_it_goes_on_and_pays_for_nothing_twice(engine: EngineUnderTest, model: SimulatedModel) -> None:
    """After SIGKILL, the calls whose answers are in the journal are not made again."""
    made = _asking(engine, "killed", model)
    model.hold_after(RECORDS // 2)
    command = await engine.run(made)
    assert await command.reach(lambda: model.calls > RECORDS // 2), (await command.end()).err
    run_id = await engine.run_id(made)
    held = model.calls - RECORDS // 2
    followed = await engine.crash(engine, made, command, run_id)
    model.let_go()
    ended = await followed.end()
    assert_complete(ended.report, await made.loaded(engine.environ), review_ids(RECORDS))
    assert ended.report["run_id"] == run_id
    assert ended.report["calls"]["made"] == RECORDS
    assert RECORDS <= model.calls <= RECORDS + held + _MORE_HELD


async def cancelled_it_ends_and_its_books_balance(engine: EngineUnderTest, model: SimulatedModel) -> None:
    """`loom cancel` in another process ends a run; what is loaded stays, and the rest counts as cancelled."""
    made = _asking(engine, "cancelled", model)
    model.hold_after(RECORDS // 2)
    command = await engine.run(made)
    assert await command.reach(lambda: model.calls > RECORDS // 2), (await command.end()).err
    run_id = await engine.run_id(made)
    cancelling = asyncio.create_task((await engine.loom(made, "cancel", run_id)).end())
    await command.reach(cancelling.done)
    model.let_go()
    assert (await cancelling).code == 0
    ended = await command.end()
    assert (ended.code, ended.report["status"], ended.report["run_id"]) == (4, "cancelled", run_id)
    assert_balanced(ended.report)
    assert ended.report["records"]["cancelled"] > 0
    assert model.calls <= RECORDS


async def its_budget_stops_it(engine: EngineUnderTest, model: SimulatedModel) -> None:
    """A run pauses before the call that its budget does not cover, and each call is paid for once in the end."""
    made = _asking(engine, "budget", model)
    budget = RECORDS // 2 * PER_CALL
    made.say(monitoring={"cost_budget": budget})
    ended = await (await engine.run(made)).end()
    assert (ended.report["status"], ended.report["reason"]) == ("paused", "budget_exhausted")
    assert 0 < spent(model) <= budget
    last = await engine.resumed(made, ended.report["run_id"], "--budget", "20")
    assert_complete(last.report, await made.loaded(engine.environ), review_ids(RECORDS))
    assert (model.calls, last.report["calls"]["made"]) == (RECORDS, RECORDS)


async def interrupted_it_comes_to_a_point_where_it_is_resumed(engine: EngineUnderTest, model: SimulatedModel) -> None:
    """Ctrl-C pauses a run, and nothing of it is done twice."""
    made = _asking(engine, "interrupted", model)
    model.latency = 0.05
    command = await engine.run(made)
    assert await command.reach(lambda: model.calls >= RECORDS // 4), (await command.end()).err
    command.interrupt()
    ended = await command.end()
    assert (ended.code, ended.report["status"]) == (130, "paused"), ended.err
    last = await engine.resumed(made, ended.report["run_id"])
    assert_complete(last.report, await made.loaded(engine.environ), review_ids(RECORDS))
    assert (model.calls, last.report["calls"]["made"]) == (RECORDS, RECORDS)


_MORE_HELD = 8
"""The calls that may arrive after those that are held were counted."""


def _asking(engine: EngineUnderTest, name: str, model: SimulatedModel) -> Project:
    """Return a project that asks a model one question for each record, with one batch in flight for each few."""
    return engine.project(name, extract={"batch_size": 5}, transform=ai(model.base_url, max_tokens=40, timeout="5m"))
