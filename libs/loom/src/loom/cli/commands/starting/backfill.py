"""Implements `loom backfill`: one run for each value of a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.commands.starting.partitions import Every, partitions
from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom_common.service.entry import INTERRUPTED

if TYPE_CHECKING:
    from loom.cli.commands.follow import Outcome
    from loom.cli.commands.starting.outcomes import RunEnd
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom_coordinator.queries.runs import RunWithParams

_BUCKETS = ("s3", "gs", "az")


@grouped
def backfill(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A pipeline file, or a pipeline's name.")],
    param: Annotated[
        list[str],
        typer.Option(
            "--param",
            metavar="NAME|KEY=VALUE",
            help="Once a name: the parameter that has another value in each run. With a value, a parameter of all.",
        ),
    ],
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="The first value: 2024-01-01, or with a time.")],
    until: Annotated[str, typer.Option("--to", metavar="DAY", help="The last value; it is included.")],
    every: Annotated[Every, typer.Option("--every", help="How far apart the values are.")] = Every.DAY,
    again: Annotated[bool, typer.Option("--again", help="Also run the partitions that have succeeded before.")] = False,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=0.0, help="What the runs of this call may cost together."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which partitions would run, run nothing.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Take no result of an earlier run.")] = False,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Run a pipeline once for each day, hour, week or month of a range, one run after the other.

    Each run has the value as a parameter. A partition that fails does not stop the others. Called again, it goes on:
    partitions of which a run has succeeded with the same parameters are left out, and a run that was interrupted or
    paused is resumed.

    Exit codes: 0 every partition has succeeded, 1 one has not, 2 bad usage or configuration, 130 interrupted."""
    from loom.cli.commands import follow, state
    from loom.cli.commands.run import params_of
    from loom.cli.commands.starting.outcomes import GONE_WRONG, RunEnd, print_ends
    from loom.cli.output import terminal

    settings = common.configuration()
    name, given = _split(param)
    loaded = _loaded(pipeline, settings, name)
    try:
        values = partitions(start, until, every, loaded.pipeline.params[name].type)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from, --to") from None
    whole = _params(loaded, {name: values[0], **params_of(given)})
    earlier = follow.wait_for(state.ask(settings, lambda views: views.with_params(loaded.pipeline.name)))
    wanted = [
        Partition(value, _newest(earlier, _params(loaded, {**whole, name: value}), succeeded=not again))
        for value in values
    ]
    if dry_run:
        ends = [_before(each) or RunEnd(each.value, _would(each), 0, each.run_id) for each in wanted]
    else:
        most = loaded.pipeline.monitoring.cost_budget
        carried = _Backfill(str(loaded.path), settings, name, params_of(given), common, most, reuse=not no_cache)
        ends = carried.carry_out(wanted, budget)
    if form is Format.JSON:
        terminal.print_json({"pipeline": loaded.pipeline.name, "partitions": [each.as_json() for each in ends]})
    else:
        print_ends(ends, name)
    codes = {each.exit_code for each in ends}
    raise typer.Exit(INTERRUPTED if INTERRUPTED in codes else GONE_WRONG if codes - {0} else 0)


@dataclass(frozen=True, slots=True)
class Partition:
    """Describes one value of the parameter, and the run that there is of it."""

    value: str
    earlier: RunWithParams | None
    """The run that has succeeded, or that waits to be resumed; None where a run is to be begun."""

    @property
    def has_succeeded(self) -> bool:
        return self.earlier is not None and self.earlier.status == "succeeded"

    @property
    def run_id(self) -> str | None:
        return None if self.earlier is None else self.earlier.run_id


@dataclass(frozen=True, slots=True)
class _Backfill:
    """Carries out the runs of partitions."""

    path: str
    config: LoomConfig
    name: str
    params: Mapping[str, str]
    common: Common
    most: float | None
    """The `cost_budget` of the pipeline."""
    reuse: bool

    def carry_out(self, wanted: Sequence[Partition], budget: float | None) -> list[RunEnd]:
        """Carry out one run after the other. Ends early where a run is paused, and where the budget is spent."""
        from loom.cli.commands.starting.outcomes import GONE_WRONG, RunEnd
        from loom.cli.output import terminal

        ends: list[RunEnd] = []
        left, why = budget, None
        for each in wanted:
            if left is not None and left <= 0:
                why = why or "the budget is spent"
            done = _before(each)
            if done is None and why is not None:
                done = RunEnd(each.value, "not run", GONE_WRONG, why=why)
            if done is None:
                terminal.say(f"{self.name}={each.value}")
                done, cost = self._end(each, left)
                left = None if left is None else left - cost
                if done.status == "paused":
                    why = f"{done.run_id} is paused"
            ends.append(done)
        return ends

    def _end(self, each: Partition, left: float | None) -> tuple[RunEnd, float]:
        """Return what became of a partition, and what that has cost."""
        from loom.cli.commands.starting.outcomes import GONE_WRONG, RunEnd, end_of, trouble_of
        from loom.cli.output import terminal
        from loom_common.errors import LoomError

        spent = 0.0 if each.earlier is None else each.earlier.cost_total
        try:
            outcome = self._carried_out(each, left, spent)
        except (LoomError, ExceptionGroup) as error:
            trouble = trouble_of(error)
            terminal.say(f"error: {self.name}={each.value}: {trouble}")
            return RunEnd(each.value, "refused", GONE_WRONG, each.run_id, why=str(trouble)), 0.0
        end = end_of(each.value, outcome)
        return end, max(0.0, (end.cost or 0.0) - spent)

    def _carried_out(self, each: Partition, left: float | None, spent: float) -> Outcome:
        from loom.cli.commands import follow
        from loom.cli.commands.run import person, prepare
        from loom.session import Session
        from loom_common.contracts.v1 import RunAccepted

        if each.earlier is not None:
            run_id = each.earlier.run_id
            limit = None if left is None else min(spent + left, self.most or spent + left)

            async def begin(session: Session) -> RunAccepted:
                return await session.resume(run_id, limit)

        else:
            params = {**self.params, self.name: each.value}
            prepared = follow.wait_for(prepare(self.path, self.config, params, sample=False, wait=False))
            reuse = self.reuse and self.config.cache.enabled
            how = {"budget": left, "reuse": reuse, "requested_by": person()}
            request = prepared.request.model_copy(update=how)

            async def begin(session: Session) -> RunAccepted:
                return await session.start(request)

        return follow.wait_for(
            follow.carry_out(
                self.config,
                begin,
                Format.TABLE,
                verbose=self.common.verbose,
                flags=self.common.flags,
                show=lambda _: None,
            )
        )


def _split(param: Sequence[str]) -> tuple[str, list[str]]:
    """Return the parameter that has other values, and those that have one. Raises `typer.BadParameter`."""
    names = [each for each in param if "=" not in each]
    if len(names) != 1:
        raise typer.BadParameter(
            "give the name of one parameter without a value, such as `--param day`", param_hint="--param"
        )
    return names[0], [each for each in param if "=" in each]


def _loaded(target: str, config: LoomConfig, name: str) -> LoadedPipeline:
    """Return the pipeline. Raises `ConfigurationError` where a backfill of it would not add up."""
    from loom.project import catalog
    from loom_common.domain.values.near import closest
    from loom_common.errors import ConfigurationError
    from loom_connectors import registry
    from loom_connectors.ports import ConnectorContext

    loaded = catalog.find(target, config)
    assert not isinstance(loaded, str)
    pipeline, load = loaded.pipeline, loaded.pipeline.load
    if name not in pipeline.params:
        near = closest(name, pipeline.params)
        hint = f" Did you mean '{near}'?" if near else ""
        known = ", ".join(pipeline.params) or "none"
        raise ConfigurationError(f"'{pipeline.name}' has no parameter '{name}'; it has {known}.{hint}")
    if pipeline.extract.incremental is not None:
        raise ConfigurationError(
            f"'{pipeline.name}' reads by the mark of `extract.incremental`, below which it takes nothing. `loom run "
            "--full-refresh` reads all, and `loom state set` sets the mark."
        )
    context = ConnectorContext(loaded.folder, config.secrets)
    is_file = registry.is_local_file(load.destination, context)
    is_file = is_file or registry.scheme_in(load.destination, context) in _BUCKETS
    if load.mode == "replace" or (load.mode is None and is_file):
        raise ConfigurationError(
            f"Each run of '{pipeline.name}' replaces what the one before it has loaded, so only the last partition "
            "would remain. Set `load.mode` to `append` or `upsert`."
        )
    return loaded


def _params(loaded: LoadedPipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters as a run's books have them. Raises `InvalidDefinition`."""
    from loom_common.domain.model_options.params import resolved

    return resolved(loaded.pipeline.params, given)


def _newest(earlier: Sequence[RunWithParams], params: Mapping[str, Any], *, succeeded: bool) -> RunWithParams | None:
    """Return the run of these parameters that has succeeded, else the newest one where that waits to be resumed."""
    from loom_coordinator.queries.runs import INTERRUPTED as CUT_OFF

    same = [run for run in earlier if dict(run.params) == dict(params)]
    done = [run for run in same if succeeded and run.status == "succeeded"]
    waits = [run for run in same[:1] if run.status in (CUT_OFF, "paused")]
    return next(iter([*done, *waits]), None)


def _before(each: Partition) -> RunEnd | None:
    """Return the end of a partition that has succeeded before; None of another."""
    from loom.cli.commands.starting.outcomes import RunEnd

    return RunEnd(each.value, "succeeded", 0, each.run_id, why="before") if each.has_succeeded else None


def _would(each: Partition) -> str:
    return "would run" if each.earlier is None else "would resume"
