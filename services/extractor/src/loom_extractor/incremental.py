"""Takes those records of a slice that no earlier run has read."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.incremental.window import Point, Taken, Window, judged, point_of, window_of
from loom_common.domain.run.plan import Plan
from loom_common.errors import RecordError
from loom_common.worker.slices import SliceRecord


def point_taken(record: SliceRecord, plan: Plan) -> Point | None:
    """Return the value of the column of a record that an incremental run takes; None where it leaves the record out,
    or keeps it back."""
    config = plan.pipeline.extract.incremental
    if config is None or record.error is not None:
        return None
    try:
        point = point_of(record.input.get(config.column), config)
        kind = judged(point, record.id, plan.window, config)
    except RecordError:
        return None
    return point if kind == "new" or (kind == "late" and config.on_late == "load") else None


def is_incremental(plan: Plan) -> bool:
    """Tell whether slices of the plan leave out what earlier runs have read. A stream has looked already."""
    return plan.pipeline.extract.incremental is not None and plan.replay is None and plan.stream is None


def taken(records: Sequence[SliceRecord], plan: Plan) -> tuple[list[SliceRecord], Window | None]:
    """Return the records that the run takes, and the window of those that it has read. A record whose column tells
    nothing is taken with an error, and so is one that came late where the pipeline says so. Records of the plan's own
    window are read again by no run."""
    config = plan.pipeline.extract.incremental
    if config is None or not is_incremental(plan):
        return list(records), None
    found: list[SliceRecord] = []
    points: dict[str, Point] = {}
    for record in records:
        if record.error is not None:
            found.append(record)
            continue
        try:
            point = point_of(record.input.get(config.column), config)
            kind = judged(point, record.id, plan.window, config)
        except RecordError as error:
            found.append(SliceRecord(record.id, record.input, error))
            continue
        if kind in ("new", "late"):
            points[record.id] = point
        if (kept := _kept(record, kind, config)) is not None:
            found.append(kept)
    return found, window_of(points, config)


def _kept(record: SliceRecord, kind: Taken, config: IncrementalConfig) -> SliceRecord | None:
    """Return the record as the run takes it; None where it leaves it out."""
    match kind:
        case "new":
            return record
        case "late" if config.on_late == "load":
            return record
        case "late" if config.on_late == "quarantine":
            words = f"The record came late: its '{config.column}' is below what earlier runs have read."
            error = RecordError(words, code="late", details={"field": config.column})
            return SliceRecord(record.id, record.input, error)
        case _:
            return None
