"""Reads the other source that a step `join` names, and looks at it before a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loom_common.domain.checks.check import Check
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.steps.joining import JoinStep, compared_pairs
from loom_common.domain.values.near import closest
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, InvalidDefinition, LoomError, SourceError, TransientError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReceivingSource, Source
from loom_connectors.registry import open_source

_AT_ONCE = 1_000


async def rows_of(step: JoinStep, context: ConnectorContext) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yield the rows of the other source in its order, some at a time.

    Raises `SourceError` where it cannot be opened, a row cannot be read or lacks a column that the step names, or it
    has more rows than the step allows; and what reading it raises."""
    await context.credentials.fetch(step.source)
    try:
        source = opened(step, context)
    except ConfigurationError as error:  # found this late, it fails the run
        raise SourceError(f"Step {step.name}: {error}") from error
    wanted = columns_of(step)
    try:
        cursor, end, seen = None, False, 0
        while not end:
            page = await source.read(cursor, _AT_ONCE)
            for record in page.records:
                seen += 1
                if record.error is not None:
                    why = f"{record.position} of {redacted(step.source)} cannot be read: {record.error}"
                    raise SourceError(f"Step {step.name}: {why}")
                if missing := [name for name in wanted if name not in record.data]:
                    raise SourceError(_lacking(step, record.position, missing[0], list(record.data)))
            if seen > step.most_rows:
                words = f"{redacted(step.source)} has more rows than `max_rows` allows ({step.most_rows:,})"
                raise SourceError(f"Step {step.name}: {words}. Allow more, or leave some out by a `query`.")
            yield [record.data for record in page.records]
            cursor, end = page.cursor, page.end
    finally:
        await source.close()


def opened(step: JoinStep, context: ConnectorContext) -> Source:
    """Open the other source of a step. Raises `ConfigurationError`, also for a queue, whose messages are there once."""
    try:
        source = open_source(ExtractConfig(source=step.source, query=step.query, options=step.options), context)
    except InvalidDefinition as error:  # it names the keys of `extract`
        of_step = [replace(each, path=("transform", "steps", step.name, *each.path[1:])) for each in error.problems]
        raise InvalidDefinition(of_step) from error
    if isinstance(source, ReceivingSource):
        raise ConfigurationError(f"{redacted(step.source)} is a queue, and no step can join with one.")
    return source


async def look_at(step: JoinStep, context: ConnectorContext) -> Check:
    """Tell whether the other source of a step can be read and has the columns that the step names."""
    what = f"join {step.name}"
    try:
        source = opened(step, context)
        try:
            fields = await source.fields()
            await source.check()
        finally:
            await source.close()
    except LoomError as error:
        return Check(what, ok=False, detail=str(error), away=isinstance(error, TransientError), error=error)
    if fields is not None and fields.certain:
        missing = [name for name in columns_of(step) if name not in fields.names]
        if missing:
            return Check(what, ok=False, detail=_lacking(step, "the source", missing[0], fields.names))
    return Check(what, ok=True, detail=redacted(step.source))


def columns_of(step: JoinStep) -> list[str]:
    """Return the columns of the other source that a step names."""
    return list(dict.fromkeys([*(column for _, _, column in compared_pairs(step)), *step.columns.values()]))


def _lacking(step: JoinStep, where: str, name: str, there: Sequence[str]) -> str:
    near = closest(name, there)
    hint = f" Did you mean '{near}'?" if near else ""
    words = f"{where} of {redacted(step.source)} has no column '{name}'; it has {', '.join(there) or 'none'}"
    return f"Step {step.name}: {words}.{hint}"
