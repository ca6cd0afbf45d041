"""Begins and ends the trial of another version of a pipeline on a share of the records of its stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.errors import ConfigurationError
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle.streams import canaries
from loom_coordinator.lifecycle.streams.canaries import Canary

if TYPE_CHECKING:
    from loom_common.domain.definition.pipeline import Pipeline

_OWN = {"quality_checks", "schema_", "on_failure", "max_attempts"}
"""Names the keys of `extract` in which two versions that share records may differ."""


async def asked(unit: UnitOfWork, stream_id: str, pipeline: Pipeline, template: Mapping[str, Any]) -> float | None:
    """Return the share that the file of a changed pipeline asks for by itself (`canary.share`); None where it asks for
    none, has no other version beside it, or is on trial already."""
    share = None if pipeline.canary is None else pipeline.canary.share
    stream = None if share is None else await streams.find(unit.connection, stream_id)
    if stream is None or stream.canary is not None or _is_same(template, stream.template):
        return None
    return None if canaries.is_rolled_back(stream, template) else share


def kept(stream: Stream, template: Mapping[str, Any]) -> float:
    """Let the trial of a stream go on, because the pipeline that was asked for is one of its two versions. Return the
    share. Raises `ConfigurationError` for a third one."""
    canary = canaries.of_stream(stream)
    assert canary is not None, "there is a version on trial"
    if any(_is_same(template, each) for each in (stream.template, canary.template)):
        return canary.share
    raise ConfigurationError(
        f"Version {canary.template['pipeline_version']} has {canary.share:.4g} of the records of {stream.stream_id} on "
        f"trial, and this is another one. `loom promote {stream.stream_id}` gives it all records, `loom rollback "
        f"{stream.stream_id}` none; then run this one."
    )


async def begin(unit: UnitOfWork, stream_id: str, pipeline: Pipeline, values: Mapping[str, Any], share: float) -> None:
    """Give a version a share of the records of its stream, from the next window on. `values` are `plan`, `template`,
    `every` and `records`, as a stream has them. Raises `ConfigurationError` where there is no stream, no other version,
    or the two would not read the same records."""
    stream = await streams.lock(unit, stream_id)
    if stream is None:
        raise ConfigurationError(
            f"The pipeline {pipeline.name} has no stream over this source yet, so there is no version beside which "
            "this one could have a share of the records. Run it without `--canary`."
        )
    if _is_same(values["template"], stream.template):
        raise ConfigurationError(
            f"{stream_id} has this version for all its records. Change the pipeline, and run it with `--canary` then."
        )
    stable = parse(stream.template["definition"])
    differ = _differences(stable, pipeline)
    if differ:
        raise ConfigurationError(
            f"Two versions of {pipeline.name} that share the records of a stream read them in the same way, and they "
            f"differ in {', '.join(differ)}. Run the pipeline without `--canary`, and it takes over as a whole."
        )
    grouping = next((each for each in (stable, pipeline) if _groups(each)), None)
    if grouping is not None:
        raise ConfigurationError(
            f"Version {grouping.version} of {pipeline.name} makes one record of all records of a window that have the "
            "same values, and two versions would each have a part of them. Run the pipeline without `--canary`, and it "
            "takes over as a whole."
        )
    canary = Canary(**values, share=share, keys=tuple(stable.order_by) or stable.extract.keys, since=stream.number + 1)
    await streams.change(unit, stream_id, canary=canary.row(), decided=None, state=streams.RUNNING)
    await _replace_standing(unit, stream_id, canary.plan, canary.template)


async def promote(unit: UnitOfWork, stream: Stream) -> str:
    """Give the version on trial all records, from the next window on. Return the state of the stream."""
    canary = _canary_of(stream)
    await streams.change(unit, stream.stream_id, **canaries.promoted(canary))
    return stream.state


async def roll_back(unit: UnitOfWork, stream: Stream) -> str:
    """Give the version on trial no more records, from the next window on; those of its runs that are not at work go on
    with the other version. Return the state of the stream."""
    _canary_of(stream)
    await streams.change(unit, stream.stream_id, **canaries.rolled_back())
    await _replace_standing(unit, stream.stream_id, stream.plan, stream.template)
    return stream.state


def _groups(pipeline: Pipeline) -> bool:
    config = pipeline.transform
    return isinstance(config, StepsTransformConfig) and bool(config.graph.groups)


def _canary_of(stream: Stream) -> Canary:
    canary = canaries.of_stream(stream)
    if canary is None:
        raise ConfigurationError(
            f"No version of {stream.pipeline_name} is on trial in {stream.stream_id}. `loom run FILE --canary 10%` "
            "gives one a share of the records."
        )
    return canary


async def _replace_standing(unit: UnitOfWork, stream_id: str, plan: str, template: Mapping[str, Any]) -> None:
    """Give another version to those runs beside windows that have failed, or are paused: what the stream goes on with
    is not to fail with them. What they have loaded stays."""
    for run in (await streams.lock_windows(unit, stream_id)).values():
        if run.canary_of is not None and run.status != run_rows.RUNNING:
            await run_rows.change(unit, run.run_id, plan=plan, **template)


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in canaries.VERSION)


def _differences(stable: Pipeline, candidate: Pipeline) -> list[str]:
    """Return the keys in which two versions differ that decide what the records of a stream are. Pure."""
    before, after = (each.extract.model_dump(exclude=_OWN) for each in (stable, candidate))
    found = [f"`extract.{name}`" for name in before if before[name] != after[name]]
    if stable.order_by != candidate.order_by:
        found.append("`order_by`")
    if bool(stable.sensitive) != bool(candidate.sensitive):
        found.append("whether they have `sensitive` fields")
    return found
