"""Decides on the version on trial of a stream, in the transaction in which one of its windows ends."""

from __future__ import annotations

from loom_coordinator.alerts import store
from loom_coordinator.alerts.rules import CANARY_PROMOTED, CANARY_ROLLED_BACK, ERROR, WARNING, Finding
from loom_coordinator.db import streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle.streams import canaries, figures


async def look(unit: UnitOfWork, stream: Stream, run: Run) -> None:
    """Give the version on trial all records of the stream, or none, where its rule says so now that a run of the trial
    has ended. The stream is locked by the caller. It is an alert of the run, and `streams.decided` says it."""
    canary = canaries.of_stream(stream)
    if canary is None or run.stream_window is None or run.stream_window < canary.since:
        return
    verdict = await figures.verdict(unit.connection, stream)
    if verdict is None or verdict.decision == "wait":
        return
    promoted = verdict.decision == "promote"
    version, other = canary.template["pipeline_version"], stream.template["pipeline_version"]
    what = (
        f"version {version} takes all records from the next window on"
        if promoted
        else f"version {version} gets no more records, and version {other} takes all"
    )
    change = canaries.promoted(canary) if promoted else canaries.rolled_back()
    decided = canaries.Decided.by(verdict, canary, stream, unit.now)
    await streams.change(unit, stream.stream_id, **{**change, "decided": decided.row()})
    await store.raise_one(
        unit,
        run,
        Finding(
            CANARY_PROMOTED if promoted else CANARY_ROLLED_BACK,
            f"{version} in window {run.stream_window}",
            f"{what}: {verdict.reason}",
            canary.share,
            1.0 if promoted else 0.0,
            WARNING if promoted else ERROR,
        ),
    )
