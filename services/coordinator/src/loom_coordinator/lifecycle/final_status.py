"""Decides the status of a run that has worked through all its records, and why it is not `succeeded`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from loom_common.domain.run.gates import below_batch_threshold
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.plural import counted
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run

LEFT_AS_IT_WAS = (
    "What the destination held was left as it was; `load: {allow_empty: true}` lets an empty result replace it."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Represents a status of `runs.TERMINAL`, with the reason where it is not `succeeded`."""

    status: str
    error: str | None = None


def of(tally: Tally, batch_threshold: float | None, *, goes_on: bool = False) -> Verdict:
    """Return the verdict on a run none of whose batches is under way. One that others follow, as the windows of a
    stream do, does not fail because its few records were kept back.

    A run may not be called succeeded where records are unaccounted for, nor where errors left nothing to load."""
    if not tally.balanced:
        words = f"the ledger does not balance: {tally.underway:,} of {counted(tally.entered, 'record')} unaccounted"
        return Verdict(run_rows.FAILED, words)
    if not tally.loaded and tally.errors:
        rest = f", and the gate rejected the other {tally.rejected:,}" if tally.rejected else ""
        words = f"Nothing was loaded: errors kept back {tally.errors:,} of {counted(tally.entered, 'record')}{rest}."
        return Verdict(run_rows.PARTIAL if goes_on else run_rows.FAILED, words)
    if not tally.loaded and tally.rejected:
        all_of_them = f"all {tally.rejected:,} records" if tally.rejected > 1 else "the one record"
        return Verdict(run_rows.PARTIAL, f"Nothing was loaded: the gate rejected {all_of_them}.")
    missed = below_batch_threshold(tally.passed - tally.unscored, tally.judged, batch_threshold)
    return Verdict(run_rows.PARTIAL, missed) if missed else Verdict(run_rows.SUCCEEDED)


def kept_old_result(verdict: Verdict) -> Verdict:
    """Return the verdict where the run had nothing to put in the place of what the destination holds, and so left
    it."""
    begin = verdict.error or "Nothing was loaded: the source held no record."
    return Verdict(run_rows.PARTIAL, f"{begin} {LEFT_AS_IT_WAS}")


def adds(run: Run) -> bool:
    """Tell whether a run that ends early shows what it wrote so far: it adds rows, where others replace a whole."""
    if run.sample is not None:
        return False
    return run.definition["load"].get("mode") == "append" or run.replay_of is not None
