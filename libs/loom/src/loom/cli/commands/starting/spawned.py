"""Runs the pipelines that a run of this machine spawns, each once, whatever was killed in between.

The id of such a run follows from that of the run before it, so that a command which goes on finds what was begun. On a
cluster the coordinator asks for these runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from loom.cli.commands import state
from loom.cli.commands.follow import wait_for
from loom.cli.commands.starting.chain import Turn
from loom_common.contracts.v1 import RunAccepted
from loom_common.domain.values.ids import run_id_for, spawn_key

if TYPE_CHECKING:
    from loom.cli.commands.follow import Begin, Outcome
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom.requests.spawned import Spawning
    from loom.session import RunEngine

CarryOut: TypeAlias = "Callable[[LoadedPipeline, str], Outcome]"


def turns(found: Sequence[Spawning], first: Turn, carry_out: CarryOut) -> Iterator[Turn]:
    """Yield the first turn, and one for each pipeline that is spawned; none of these runs where the one before it has
    not succeeded. `carry_out` runs a pipeline by the idempotency key of its run."""
    run_ids: dict[str, str] = {}

    def kept(name: str, outcome: Outcome) -> Outcome:
        run_ids[name] = outcome.run_id
        return outcome

    def spawned(each: Spawning) -> Outcome:
        key = spawn_key(each.pipeline, run_ids[each.after], each.loaded.pipeline.name)
        return kept(each.name, carry_out(each.loaded, key))

    yield Turn(first.name, first.depends_on, lambda: kept(first.name, first.carry_out()))
    for each in found:
        yield Turn(each.name, (each.after,), partial(spawned, each))


def going_on(config: LoomConfig, key: str) -> Begin | None:
    """Return what goes on with the run that was begun with an idempotency key, or finds it ended; None where there is
    none yet."""
    run_id = run_id_for(key)
    row = wait_for(state.ask(config, lambda views: views.row(run_id)))
    if row is None:
        return None

    async def begin(session: RunEngine) -> RunAccepted:
        if row.status in ("succeeded", "partial"):
            return RunAccepted(run_id=run_id, pipeline=row.pipeline_name, status=row.status)
        return await session.resume(run_id)

    return begin
