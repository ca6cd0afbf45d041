"""Implements `loom quarantine retry`, which starts a replay, or says why there is nothing to run again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loom.cli.commands import follow, state
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError
from loom_quarantine.queries import RecordFilter

if TYPE_CHECKING:
    from loom.cli.options.common import Common
    from loom.project.config import LoomConfig
    from loom_common.domain.run.replaying import Changes
    from loom_quarantine.queries import Standing


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
    everything = replace(meant, record_ids=None) == RecordFilter(run_id=run_id)
    names = meant.record_ids if everything else standing.waiting
    try:
        outcome = await follow.carry_out(
            config,
            lambda session: session.replay(run_id, names, changes),
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


async def _tell_that_none_waits(
    config: LoomConfig, run_id: str, standing: Standing, form: Format, flags: str = ""
) -> int:
    """Say what became of the records: resolved, or taken by another replay."""
    async with state.opened(config) as views:
        statuses = {replay: await views.status(replay) or "unknown" for replay in standing.held}
    replays = [{"run_id": name, "status": statuses[name], "records": number} for name, number in standing.held.items()]
    message = " ".join(["Nothing is replayed.", *_sentences(standing, statuses, flags)])
    if form is Format.JSON:
        found = {"replay_of": run_id, "records": standing.records, "resolved": standing.resolved, "in_replays": replays}
        terminal.print_json({**found, "replayed": 0, "message": message})
    else:
        terminal.say(message)
    return 0


def _sentences(standing: Standing, statuses: dict[str, str], flags: str) -> list[str]:
    sentences = []
    if resolved := sum(standing.resolved.values()):
        ways = ", ".join(f"{terminal.count(number)} {action}" for action, number in standing.resolved.items())
        sentences.append(f"Resolved: {counted(resolved, 'record')} ({ways}).")
    for name, number in standing.held.items():
        sentences.append(f"Taken up by {name}, which is {statuses[name]}: {counted(number, 'record')}.")
        if statuses[name] in ("paused", "interrupted"):
            sentences.append(
                f"Finish it with `loom resume {name}{flags}`, or drop it with `loom cancel {name}{flags}`."
            )
    return sentences
