"""Compares the fields that a pipeline passes on as they are with the columns of its destination, before a run. What a
pipeline declares, its destination compares by itself; what it passes on is known only once the source was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom_common.domain.checks.check import Check
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.run.stages import has_work
from loom_common.domain.values.fields import ColumnFit, Fields
from loom_common.domain.values.near import closest
from loom_common.domain.values.urls import redacted
from loom_common.flow import Stage

_SHOWN = 20
"""The most columns of a destination that a message lists."""


def passed_on(pipeline: Pipeline, source: Fields | None) -> Fields | None:
    """Return the fields of the source that a run writes as they are; None where it writes others, where they are not
    known, and where a contract decides what becomes of fields that are new. Pure."""
    if has_work(Stage.TRANSFORM, pipeline):
        return None
    before, after = pipeline.extract.schema_, pipeline.load.schema_
    decided = [contract for contract in (before, after) if contract is not None and contract.columns != "evolve"]
    return None if decided else source


def with_passed_on(pipeline: Pipeline, source: Fields | None, fits: Sequence[ColumnFit]) -> list[ColumnFit]:
    """Return the columns of a destination, as it compared them, with those that are passed on to it. Pure."""
    passed = passed_on(pipeline, source)
    if passed is None or not fits:  # a destination that compares nothing takes whatever comes
        return list(fits)
    known = {fit.name for fit in fits}
    is_there = any(fit.there is not None for fit in fits)
    written = [
        replace(fit, done="as it is")
        if fit.name in passed.names and fit.written is None and fit.there is not None and fit.fits
        else fit
        for fit in fits
    ]
    new = [name for name in passed.names if name not in known]
    return [*written, *(_new(name, pipeline, passed, is_there=is_there) for name in new)]


def missing_columns(pipeline: Pipeline, source: Fields | None, fits: Sequence[ColumnFit]) -> Check | None:
    """Return what is to say where the destination, which compared these columns, lacks some that are passed on to it.
    It stands in the way of a run where every record has them, and no second destination takes the rows. Pure."""
    passed = passed_on(pipeline, source)
    there = [fit.name for fit in fits if fit.there is not None]
    missing = [fit.name for fit in with_passed_on(pipeline, source, fits) if fit.there is None and not fit.fits]
    if passed is None or not there or not (missing := [name for name in missing if name in passed.names]):
        return None
    shown = ", ".join(f"'{name}'" for name in missing)
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    near = closest(missing[0], there)
    hint = f" Did you mean '{near}'?" if near else ""
    who = "which every record of the source has" if passed.certain else "which some records of the source have"
    words = (
        f"{redacted(pipeline.load.destination)} has no column {shown}, {who}; its columns are "
        f"{', '.join(there[:_SHOWN])}{more}.{hint} Add it to the table (ALTER TABLE ... ADD COLUMN), let the run add "
        "it (`load.schema: {columns: evolve}`), or leave it out of what the source gives."
    )
    stands = passed.certain and pipeline.load.second is None
    return Check("columns", ok=not stands, detail=words, doubtful=not stands)


def _new(name: str, pipeline: Pipeline, passed: Fields, *, is_there: bool) -> ColumnFit:
    """Describe a column that the destination has not."""
    if not is_there:
        return ColumnFit(name, None, None, "created by its values", fits=True)
    contract = pipeline.load.schema_
    if contract is not None and contract.store:
        return ColumnFit(name, None, None, "added by its values", fits=True)
    done = "missing: a run is refused" if passed.certain else "missing: a record that has it is kept back"
    return ColumnFit(name, None, None, done, fits=False)
