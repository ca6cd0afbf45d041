"""Implements `loom backfill`: one run for each value of a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.commands.starting.partitions import Every, partitions
from loom.cli.options.common import Form, ForTarget
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom_common.service.entry import INTERRUPTED

if TYPE_CHECKING:
    from loom.cli.commands.starting.partition_runs import Partition
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline


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
        typer.Option(
            "--budget", metavar="USD", min=1e-6, max=1e12, help="What the runs of this call may cost together."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which partitions would run, run nothing.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Take no result of an earlier run.")] = False,
    form: Form = Format.TABLE,
    *,
    common: ForTarget,
) -> None:
    """Run a pipeline once for each day, hour, week or month of a range, one run after the other.

    Each run has the value as a parameter. A partition that fails does not stop the others. Called again, it goes on:
    partitions of which a run has succeeded with the same parameters are left out, and a run that was interrupted or
    paused is resumed.

    Exit codes: 0 every partition has succeeded, 1 one has not, 2 bad usage or configuration, 130 interrupted."""
    from loom.cli.commands import follow
    from loom.cli.commands.run import params_of
    from loom.cli.commands.starting import partition_runs
    from loom.cli.commands.starting.outcomes import GONE_WRONG, RunEnd, print_ends
    from loom.cli.output import terminal

    settings = common.configuration()
    name, given = _split(param)
    loaded = _loaded(pipeline, settings, name)
    try:
        values = partitions(start, until, every, loaded.pipeline.params[name].type)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from, --to") from None
    own = params_of(given)
    whole = _params(loaded, {name: values[0], **own})
    each_with = [(value, _params(loaded, {**whole, name: value})) for value in values]
    wanted = follow.wait_for(partition_runs.found(settings, loaded.pipeline.name, each_with, again=again))
    if dry_run:
        ends = [partition_runs.before(each) or RunEnd(each.value, _would(each), 0, each.run_id) for each in wanted]
    else:
        carried = partition_runs.Backfill(loaded, settings, name, own, common, reuse=not no_cache)
        ends = carried.carry_out(wanted, budget)
    if form is Format.JSON:
        terminal.print_json({"pipeline": loaded.pipeline.name, "partitions": [each.as_json() for each in ends]})
    else:
        print_ends(ends, name)
    codes = {each.exit_code for each in ends}
    raise typer.Exit(INTERRUPTED if INTERRUPTED in codes else GONE_WRONG if codes - {0} else 0)


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
    from loom.project.parameters import unused
    from loom_common.domain.values.near import closest
    from loom_common.errors import ConfigurationError, InvalidDefinition
    from loom_connectors import registry
    from loom_connectors.ports.context import ConnectorContext

    loaded = catalog.find_file(target, config)
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
    if load.mode == "replace" or (load.mode is None and registry.is_file(load.destination, context)):
        raise ConfigurationError(
            f"Each run of '{pipeline.name}' replaces what the one before it has loaded, so only the last partition "
            "would remain. Set `load.mode` to `append` or `upsert`."
        )
    if name in unused(loaded.definition, loaded.prompt):
        raise InvalidDefinition(
            [
                loaded.document.problem(
                    ("params", name),
                    f"the parameter '{name}', which nothing uses, so that each run would move the same records",
                    f"one that the source looks at, such as `WHERE day = {{{{ {name} }}}}` in `extract.query`",
                )
            ]
        )
    return loaded


def _params(loaded: LoadedPipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters as a run's books have them. Raises `InvalidDefinition`."""
    from loom_common.domain.model_options.params import resolved

    return resolved(loaded.pipeline.params, given)


def _would(each: Partition) -> str:
    return "would run" if each.earlier is None else "would resume"
