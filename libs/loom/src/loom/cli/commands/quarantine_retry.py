"""Implements `loom quarantine retry`, which starts a replay, or says why there is nothing to run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom.cli.commands import follow, state
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.requests.replays import named, nothing_waits, sealed_changes
from loom_common.errors import ConfigurationError

if TYPE_CHECKING:
    from loom.cli.options.common import Common
    from loom.project.config import LoomConfig
    from loom_common.domain.run.replaying import Changes
    from loom_quarantine.queries import RecordFilter, Standing


async def carry_out(
    config: LoomConfig, meant: RecordFilter, changes: Changes | None, form: Format, common: Common
) -> int:
    """Replay the records meant that wait. Returns the exit code: 0 where none waits, which is said.

    Raises `ConfigurationError` where there is no such record, or the changes do not fit the pipeline."""
    run_id = str(meant.run_id)
    standing = await state.ask(config, lambda views: views.replayable(meant))
    if not standing.records:
        raise await state.no_record(config, meant, common.flags)
    if not standing.waiting:
        return await _tell_that_none_waits(config, run_id, standing, form, common.flags)
    names = named(meant, standing)
    sent = await state.ask(config, lambda views: sealed_changes(config, views, run_id, changes))
    try:
        outcome = await follow.carry_out(
            config,
            lambda session: session.replay(run_id, names, sent),
            form,
            verbose=common.verbose,
            flags=common.flags,
            if_empty="Nothing was replayed: another replay took these records up meanwhile.",
        )
    except ConfigurationError:
        standing = await state.ask(config, lambda views: views.replayable(meant))
        if standing.waiting:
            raise
        return await _tell_that_none_waits(config, run_id, standing, form, common.flags)
    return outcome.code


async def _tell_that_none_waits(config: LoomConfig, run_id: str, standing: Standing, form: Format, flags: str) -> int:
    """Say what became of the records: resolved, or taken by another replay."""
    became = await state.ask(config, lambda views: nothing_waits(views, run_id, standing))
    if form is Format.JSON:
        terminal.print_json({**became.as_json(), "message": became.words(flags)})
    else:
        terminal.say(became.words(flags))
    return 0
