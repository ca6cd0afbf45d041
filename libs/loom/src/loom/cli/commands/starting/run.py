"""Implements `loom run`, which starts a pipeline and follows it to its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from loom.cli.commands.run import Wait
from loom.cli.options.common import Form, ForTarget
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom_common.contracts.v1 import RunRequest


@grouped
def run(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A pipeline file, or a pipeline's name.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="Set a parameter. May be given again.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", metavar="N", min=1, help="Try it over the first N records; rows go beside the destination."
        ),
    ] = None,
    load: Annotated[
        bool, typer.Option("--load", help="With --sample: load the rows into the destination itself.")
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="NAME=LIMIT",
            help="Exit with 5 beyond so many (`failed=0`) or so large a share (`rejected=0.2`). May be given again.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, run nothing.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Take no result of an earlier run.")] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read all of an incremental source, whatever runs have read before.")
    ] = False,
    downstream: Annotated[
        bool,
        typer.Option("--downstream", help="Then run the project's pipelines that depend on it (`depends_on`)."),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Take the steps of this profile alone (`profiles`)."),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(
            "--canary", metavar="SHARE", help="Give this version a share of its stream's records on trial: `10%`."
        ),
    ] = None,
    begin_at: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Have its stream go on there: a time, how long ago (`2h`), `start`, `end`, or a cursor of the source.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="With --from: also take again what the stream has taken before.")
    ] = False,
    wait: Wait = False,
    form: Form = Format.TABLE,
    *,
    common: ForTarget,
) -> None:
    """Run a pipeline to its end, and report.

    A sample is a trial: it is loaded into `scores.sample.csv` for `scores.csv`, and into the table `scores_sample` for
    `scores`, in the place of the sample before it, and its report shows rows.

    The pipelines that it spawns (`spawn`) run after it where it has succeeded, on a cluster by themselves.

    With --downstream, the pipelines that depend on it, directly or not, run after it, one after the other, each once
    all that it depends on among them have succeeded. The options count for each; --param sets a parameter of each that
    has it.

    A pipeline with `mode: streaming` stays, and shows its windows as they close, until Ctrl-C or `loom drain`. Run
    again, it goes on where it was. With --canary, the version that it had goes on beside the file's, and `loom promote`
    or `loom rollback` ends that; `loom status` compares the two. With --from, the window that is open closes, and
    the next one begins at that place of the source.

    Exit codes: 0 succeeded, 1 failed, 2 bad usage or configuration, 3 partial, 4 cancelled, 5 succeeded or partial but
    beyond a limit of --fail-on or `fail_on`, 130 interrupted."""
    from loom.cli.commands import follow, validate
    from loom.cli.commands.run import limits_of, params_of, share_of
    from loom.cli.commands.starting import chain, spawned
    from loom.cli.output.terminal import say
    from loom.project.person import person
    from loom.requests.lineage_parent import lineage_parent_of
    from loom.requests.runs import Prepared, prepare
    from loom.requests.spawned import below as below_spawned
    from loom.session import StreamOpened

    settings = common.configuration(pipeline)
    flags = common.flags_for(settings)
    given = params_of(param or [])
    limits = limits_of(fail_on or [])
    share = None if canary is None else share_of(canary)
    _see_that_they_fit(sample, share, profile, load=load, downstream=downstream)
    _see_that_it_can_begin(begin_at, sample, share, again=again, downstream=downstream)
    trial = sample is not None and not load
    below = chain.below(pipeline, settings) if downstream else []
    prepared = follow.wait_for(prepare(pipeline, settings, given, sample=trial, wait=wait, say=say, profile=profile))
    name = pipeline if prepared.loaded is None else prepared.loaded.pipeline.name
    spawns = [] if prepared.loaded is None or trial else prepared.loaded.pipeline.spawn
    spawn = below_spawned(name, spawns, settings)
    after = [*below, *(each.loaded for each in spawn)]
    if dry_run:
        validate.print_dry_run(prepared.loaded or pipeline, form, [each.pipeline.name for each in after])
        return
    reuse = settings.cache.enabled and not no_cache
    how = {
        "sample": sample,
        "load": load,
        "reuse": reuse,
        "full_refresh": full_refresh,
        "requested_by": person(),
        "canary": share,
        "begin_at": begin_at,
        "again": again,
        "lineage_parent": lineage_parent_of(None),
    }

    ends = "--downstream" if downstream else "--fail-on" if limits else None
    streamed = ("reuse", "full_refresh", "requested_by", "canary", "begin_at", "again")
    request = prepared.request.model_copy(update={name: how[name] for name in streamed})
    follow_stream = partial(_follow_stream, settings, request, ends, form, common, flags, wait=wait)
    if prepared.loaded is not None and prepared.loaded.pipeline.mode == "streaming" and sample is None:
        follow_stream()

    several = downstream or bool(spawn)

    def carry_out(prepared: Prepared, key: str | None = None) -> follow.Outcome:
        whole = {} if key is None else {"sample": None, "load": False, "idempotency_key": key}
        request = prepared.request.model_copy(update={**how, **whole})
        known = [number for number in (prepared.expected, sample) if number is not None]
        expected = min(known) if prepared.expected is not None else None
        return followed(lambda session: session.start(request), expected)

    def followed(begin: follow.Begin, expected: int | None = None) -> follow.Outcome:
        return follow.wait_for(
            follow.carry_out(
                settings,
                begin,
                form,
                verbose=common.verbose,
                flags=flags,
                expected=expected,
                fail_on=limits,
                wait=wait,
                report=not (several and form is Format.JSON),
            )
        )

    if not several:
        try:
            raise typer.Exit(carry_out(prepared).code)
        except StreamOpened:  # a pipeline that the cluster alone knows
            follow_stream()

    def carry_out_below(loaded: LoadedPipeline, key: str | None = None) -> follow.Outcome:
        if key is not None and (begin := spawned.going_on(settings, key)) is not None:
            return followed(begin)
        own = {} if key is not None else {name: each for name, each in given.items() if name in loaded.pipeline.params}
        path = str(loaded.path)
        return carry_out(follow.wait_for(prepare(path, settings, own, sample=False, wait=wait, say=say)), key)

    turns = list(spawned.turns(spawn, chain.Turn(name, (), partial(carry_out, prepared)), carry_out_below))
    turns += [
        chain.Turn(each.pipeline.name, tuple(each.pipeline.depends_on), partial(carry_out_below, each))
        for each in below
    ]
    raise typer.Exit(chain.carry_out(turns, form))


def _see_that_they_fit(
    sample: int | None, share: float | None, profile: str | None, *, load: bool, downstream: bool
) -> None:
    """Raise `typer.BadParameter` for options of which one leaves another nothing to do."""
    if load and sample is None:
        raise typer.BadParameter("it says where a sample goes; give --sample N, too", param_hint="--load")
    if downstream and sample is not None:
        raise typer.BadParameter("a sample gives those below nothing to read", param_hint="--downstream")
    if share is not None and (sample is not None or downstream):
        raise typer.BadParameter("a share is one of the records of a stream", param_hint="--canary")
    if downstream and profile is not None:
        raise typer.BadParameter("it names steps of this pipeline alone", param_hint="--profile")


def _see_that_it_can_begin(
    begin_at: str | None, sample: int | None, share: float | None, *, again: bool, downstream: bool
) -> None:
    """Raise `typer.BadParameter` where what is run cannot begin elsewhere."""
    if again and begin_at is None:
        raise typer.BadParameter("it says what --from takes; give --from PLACE, too", param_hint="--again")
    if begin_at is not None and (sample is not None or downstream):
        raise typer.BadParameter("it is where a stream goes on, which a run with an end does not", param_hint="--from")
    if begin_at is not None and share is not None:
        raise typer.BadParameter("a version on trial reads what its stream reads", param_hint="--from")


def _follow_stream(
    settings: LoomConfig,
    request: RunRequest,
    ends: str | None,
    form: Format,
    common: ForTarget,
    flags: str,
    *,
    wait: bool,
) -> NoReturn:
    """Open a stream, and show it until it ends or is left. `ends` is an option that only a run with an end can have.
    Raises `typer.BadParameter` where that is given."""
    from loom.cli.commands import follow
    from loom.cli.commands.streams import following

    if ends is not None:
        raise typer.BadParameter("the pipeline is a stream, which has no end", param_hint=ends)
    code = follow.wait_for(
        following.carry_out(
            settings,
            lambda session: session.begin(request),
            form,
            verbose=common.verbose,
            flags=flags,
            wait=wait,
        )
    )
    raise typer.Exit(code)
