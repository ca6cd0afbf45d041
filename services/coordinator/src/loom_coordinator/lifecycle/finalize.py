"""Asks the loader to put the rows of a run in place, or to remove those that nobody wants any more."""

from __future__ import annotations

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import FinalizeLoad
from loom_common.flow import Stage
from loom_coordinator.db.run import Run
from loom_coordinator.db.unit_of_work import UnitOfWork


def ask(
    unit: UnitOfWork,
    run: Run,
    epoch: int,
    *,
    complete: bool,
    keep: bool = False,
    drop: bool = False,
    batches: int | None = None,
) -> None:
    """Send the loader the word that the run's batches are all there, or all there will be. With `keep` a result that is
    there stays; with `drop` what the run staged is removed, because nobody will resume it.
    `batches` is how many are to be there."""
    message = FinalizeLoad(
        run_id=run.run_id,
        pipeline=run.pipeline_name,
        plan=run.plan,
        epoch=epoch,
        complete=complete,
        keep=keep,
        drop=drop,
        batches=batches,
    )
    unit.send(Outgoing(flow.work(Stage.LOAD, run.pipeline_name), message))
