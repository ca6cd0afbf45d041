"""Says in sentences what a run waits for, from what is known of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import chain

from loom_common.domain.run.statuses import ShownStatus
from loom_common.domain.run.waiting_text import counted_down
from loom_common.domain.values.plural import counted
from loom_coordinator.db.run import Run
from loom_coordinator.queries.run_details import RunDetails


def sentences(run: Run, status: str, details: RunDetails, now: dt.datetime) -> list[str]:
    """Return what holds a run up, and what its batches are at; nothing for a run that has ended."""
    match status:
        case ShownStatus.INTERRUPTED:
            return [f"The process that ran it has ended. `loom resume {run.run_id}` goes on where it stopped."]
        case ShownStatus.PAUSED:
            more = " --budget USD" if run.reason == "budget_exhausted" else ""
            said = [run.notice] if run.notice else []
            if run.resumes_at is not None:
                return said
            return [*said, f"It is paused. `loom resume {run.run_id}{more}` goes on."]
        case ShownStatus.RUNNING:
            notice = [counted_down(run.notice, now)] if run.notice else []
            return list(chain(notice, _work(run, details)))
        case _:
            return []


def _work(run: Run, details: RunDetails) -> Iterator[str]:
    if run.finalizing:
        yield "All records have ended. The loader puts the rows in place."
        return
    at = [f"{counted(each.batches_waiting, 'batch', 'batches')} at {each.stage}" for each in details.stages]
    busy = [words for words, each in zip(at, details.stages, strict=True) if each.batches_waiting]
    if busy:
        yield f"In work or waiting: {', '.join(busy)}."
    window = details.credit_window
    if window and details.batches.in_flight >= window:
        yield f"The extractor waits until a batch ends: {window} may be in flight at once."
    elif run.stream is not None:
        yield "The extractor reads records as they come, until the window ends."
    elif details.remaining is None:
        yield f"The extractor reads the source{_pieces(details)}."


def _pieces(details: RunDetails) -> str:
    pieces = details.partitions
    return f": {pieces.read} of {pieces.total} partitions are read to the end" if pieces.total > 1 else ""
