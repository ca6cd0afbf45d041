"""Compares what is known of a pipeline's records before a run with the stored versions of their schemas."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.checks.check import Check
from loom_common.domain.checks.frozen_schema import frozen_mistakes
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.passthrough import PassthroughTransformConfig
from loom_common.domain.run.plan import Plan, contracts_in
from loom_common.domain.schema.ahead import FAILS, KEPT_BACK, ExpectedDrift, as_declared, expected
from loom_common.domain.schema.columns import Column, Columns, takes
from loom_common.domain.schema.declared import declared
from loom_common.domain.schema.inference import inferred
from loom_common.domain.values.plural import counted
from loom_common.errors import LoomError
from loom_common.flow import Stage

if TYPE_CHECKING:
    from loom_coordinator.db.schema_versions import SchemaVersion

Stored = Mapping[Stage, "SchemaVersion"]
_WHOSE = {Stage.EXTRACT: "the records of the source", Stage.TRANSFORM: "the answers", Stage.LOAD: "the rows"}
_RECORDS = 1_000
"""The most records of a source that are looked at."""


async def compared(
    loaded: LoadedPipeline, config: LoomConfig, looked: Sequence[Check], *, connect: bool
) -> tuple[list[ExpectedDrift], list[Check]]:
    """Return how the records of a pipeline differ from the stored versions of their schemas, and what that means for a
    run. `looked` is what was checked before: a source that could be read is read once more. A state database that is a
    server is asked with `connect` alone."""
    try:
        stored = await _stored(loaded.pipeline.state_name, config, connect=connect)
    except LoomError as error:
        return [], [Check("schema", ok=True, detail=str(error), doubtful=True)]
    if stored is None:
        return [], []
    plan = Plan(pipeline=loaded.pipeline, schemas={stage: dict(each.columns) for stage, each in stored.items()})
    problems = [loaded.document.problem(each.path, each.found, each.expected) for each in frozen_mistakes(plan)]
    checks = [Check("schema", ok=False, detail="frozen", problems=tuple(problems))] if problems else []
    records = await _first_records(loaded, config, looked) if stored else None
    drift = [
        ExpectedDrift(
            stage=stage,
            version=stored[stage].version,
            records=None if stage is not Stage.EXTRACT or records is None else len(records),
            changes=tuple(expected(stored[stage].columns, known, contracts_in(loaded.pipeline)[stage])),
        )
        for stage, known in _known(loaded.pipeline, inferred(records) if records else None, stored)
        if stage in stored
    ]
    told = {each.path[0] for each in problems}
    checks += [_check(each, loaded.pipeline) for each in drift if each.stage not in told]
    return [each for each in drift if each.changes], checks


async def _stored(name: str, config: LoomConfig, *, connect: bool) -> Stored | None:
    """Return the newest version of each stage's schema; None where the state database is not asked. Raises what asking
    it raises."""
    url = config.state_url
    is_file = url.startswith("sqlite:///")
    if (is_file and config.distributed) or not (is_file or connect):
        return None
    if is_file and not await asyncio.to_thread(_may_have_versions, Path(url.removeprefix("sqlite:///")), name):
        return {}
    from loom.views import open_views

    async with open_views(config) as views:
        newest = await views.schemas(name)
    return {each.stage: each for each in reversed(newest)}


def _may_have_versions(state: Path, name: str) -> bool:
    """Tell whether a state file may hold versions of a pipeline's schemas. Most hold none, and then none of what reads
    run state is loaded. Changes nothing, and makes no file."""
    if not state.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT 1 FROM schema_versions WHERE pipeline_name = ? LIMIT 1", [name])
            return found.fetchone() is not None
    except sqlite3.Error:  # what is wrong is told by what opens it
        return True


async def _first_records(
    loaded: LoadedPipeline, config: LoomConfig, looked: Sequence[Check]
) -> list[dict[str, object]] | None:
    """Return the first page of a source that the checks could look into; None of any other, and of one whose page
    depends on parameters that only a run gives."""
    could = any(check.what == "source" and check.ok and check.fields is not None for check in looked)
    if not could or any(spec.default is None for spec in loaded.pipeline.params.values()):
        return None
    from loom.preflight import source_sample

    return await source_sample.of_pipeline(loaded, config, _RECORDS, pages=1)


def _known(
    pipeline: Pipeline, source: Columns | None, stored: Stored
) -> Iterator[tuple[Stage, Mapping[str, Column | None]]]:
    """Yield the columns of each stage that are known before a run. What code answers that declares no output is not,
    nor are the rows that are made of it."""
    if source is not None:
        yield Stage.EXTRACT, source
    schema = pipeline.transform.declared_schema
    made: Columns | None = None if schema is None else declared(schema)
    if made is not None:
        held = stored.get(Stage.TRANSFORM)
        yield Stage.TRANSFORM, as_declared({} if held is None else held.columns, made)
        held = stored.get(Stage.LOAD)
        made = as_declared({} if held is None else held.columns, made)
    elif isinstance(pipeline.transform, PassthroughTransformConfig) and source is not None:
        made = _going_on(pipeline, source, stored)
        yield Stage.TRANSFORM, made
    if made is not None:
        carried = (*pipeline.extract.keys, *pipeline.load.include)
        yield Stage.LOAD, {**{name: (source or {}).get(name) for name in carried}, **made}


def _going_on(pipeline: Pipeline, source: Columns, stored: Stored) -> Columns:
    """Return the columns of the records that the contract of the source lets through."""
    contract, held = pipeline.extract.schema_, stored.get(Stage.EXTRACT)
    if contract is None or held is None:
        return source
    before = held.columns
    return {
        name: column
        if name not in before or contract.types == "evolve" or takes(before[name], column)
        else before[name]
        for name, column in source.items()
        if name in before or contract.columns == "evolve"
    }


def _check(drift: ExpectedDrift, pipeline: Pipeline) -> Check:
    """Say whether a run can begin. Records below a mark are read and left out, so what they are stops none."""
    stage = Stage(drift.stage)
    who = _WHOSE[stage] if drift.records is None else f"the first {counted(drift.records, 'record')} of the source"
    if not drift.changes:
        return Check("schema", ok=True, detail=f"{who}: as in version {drift.version} of {stage.value}")
    differ = f"{who} differ from version {drift.version} of {stage.value}"
    if fails := drift.done(FAILS):
        words = (
            f"{differ} in {', '.join(fails)}, and `{stage.value}.schema` freezes it. `loom schema apply` stores "
            "another version."
        )
        stands = pipeline.extract.incremental is None
        return Check("schema", ok=not stands, detail=words, doubtful=not stands)
    if kept := drift.done(KEPT_BACK):
        words = f"{differ} in {', '.join(kept)}, and `{stage.value}.schema` quarantines such records"
        return Check("schema", ok=True, detail=words, doubtful=True)
    return Check("schema", ok=True, detail=f"{differ} in {', '.join(each.column for each in drift.changes)}")
