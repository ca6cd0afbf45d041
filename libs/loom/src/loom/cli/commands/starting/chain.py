"""Runs the pipelines that depend on one after it, each after those that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loom.cli.commands.starting.outcomes import GONE_WRONG, RunEnd, end_of, exit_code_of, print_ends, trouble_of
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom_common.errors import ConfigurationError, InvalidDefinition, LoomError
from loom_common.service.entry import INTERRUPTED

if TYPE_CHECKING:
    from loom.cli.commands.follow import Outcome
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom.project.dependencies import Link
    from loom_common.contracts.v1 import RunReport
    from loom_common.errors import Problem


@dataclass(frozen=True, slots=True)
class Turn:
    """Describes a pipeline that is to run in its turn."""

    name: str
    depends_on: tuple[str, ...]
    carry_out: Callable[[], Outcome]
    """Prepares the run and carries it out. Raises `LoomError` where it cannot begin."""


def below(target: str, config: LoomConfig) -> list[LoadedPipeline]:
    """Return the pipelines that depend on one, each after those that it depends on. Raises `ConfigurationError` where
    there are none, and for every mistake of theirs, so that nothing is begun that cannot be finished."""
    from loom.project import catalog, dependencies

    found = catalog.find(target, config, [target] if config.distributed else ())
    name = found if isinstance(found, str) else found.pipeline.name
    links = dependencies.declared(catalog.entries(config))
    named = dependencies.below_in_order(name, _by(links, dependencies.DEPENDS_ON))
    spawned = {each.pipeline for each in dependencies.related(name, _by(links, dependencies.SPAWN), "downstream")}
    names = [each for each in named if each not in spawned]  # those run already
    if not names:
        raise ConfigurationError(
            f"No pipeline of this project depends on '{name}'. Write `depends_on: {name}` into one, or leave "
            "--downstream away."
        )
    loaded: list[LoadedPipeline] = []
    problems: list[Problem] = []
    for each in names:
        try:
            one = catalog.find_file(each, config)
        except InvalidDefinition as error:
            problems += error.problems
            continue
        loaded.append(one)
        problems += dependencies.problems(one.document, one.definition, config)
    if problems:
        raise InvalidDefinition(problems)
    return loaded


def _by(links: Sequence[Link], why: str) -> list[Link]:
    return [link for link in links if link.why == why]


@dataclass(frozen=True, slots=True)
class _Done:
    """Says what became of a pipeline, and holds the report of its run."""

    end: RunEnd
    report: RunReport | None = None
    """None where the run is paused, and where there is none."""

    def as_json(self) -> dict[str, Any]:
        return {**self.end.as_json(), "report": None if self.report is None else self.report.model_dump(mode="json")}


def carry_out(turns: Sequence[Turn], form: Format) -> int:
    """Carry out one run after the other, and print what each came to. A pipeline does not run where one that it depends
    on among them has not succeeded. Returns the exit code: 0 where all have succeeded, else that of the first that has
    not."""
    done: dict[str, _Done] = {}
    for turn in turns:
        done[turn.name] = _done(turn, done)
        if done[turn.name].end.exit_code == INTERRUPTED:
            break
    for turn in turns[len(done) :]:
        done[turn.name] = _Done(RunEnd(turn.name, "not run", GONE_WRONG, why="interrupted"))
    ends = [each.end for each in done.values()]
    if form is Format.JSON:
        terminal.print_json({"runs": [each.as_json() for each in done.values()]})
    else:
        print_ends(ends, "pipeline")
    return exit_code_of(ends)


def _done(turn: Turn, before: Mapping[str, _Done]) -> _Done:
    above = [before[name].end for name in turn.depends_on if name in before]
    if stopped := [each for each in above if each.exit_code]:
        why = ", ".join(f"{each.name} {'was not run' if each.status == 'not run' else each.status}" for each in stopped)
        terminal.say(f"{turn.name} is not run: {why}.")
        return _Done(RunEnd(turn.name, "not run", GONE_WRONG, why=why))
    try:
        outcome = turn.carry_out()
    except (LoomError, ExceptionGroup) as error:
        if not before:
            raise
        trouble = trouble_of(error)
        code = 2 if isinstance(trouble, ConfigurationError) else GONE_WRONG
        terminal.say(f"error: {turn.name}: {trouble}")
        return _Done(RunEnd(turn.name, "refused", code, why=str(trouble)))
    return _Done(end_of(turn.name, outcome), outcome.report)
