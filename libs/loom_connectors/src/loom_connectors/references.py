"""Reads the field of another source that a check of the kind `reference` names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.quality.kinds import Reference
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReceivingSource
from loom_connectors.registry import open_source

_AT_ONCE = 1_000


async def column_values(
    plan: Plan, check: Reference, context_of: Callable[[Plan], ConnectorContext]
) -> AsyncIterator[Sequence[Any]]:
    """Yield the values of the check's field in the other source, some at a time.

    Raises `SourceError` where the source cannot be opened or has no such field, and what reading it raises."""
    config = ExtractConfig(source=check.source, query=check.query, options=check.options)
    context = context_of(plan)
    await context.credentials.fetch(check.source)
    try:
        source = open_source(config, context)
    except ConfigurationError as error:  # found this late, it fails the run
        raise SourceError(f"`quality_checks`, check reference: {error}") from error
    if isinstance(source, ReceivingSource):
        raise SourceError(
            f"`quality_checks`, check reference: {redacted(check.source)} is a queue, which has no column."
        )
    try:
        cursor, end, seen, found = None, False, 0, False
        while not end:
            page = await source.read(cursor, _AT_ONCE)
            good = [record.data for record in page.records if record.error is None]
            seen, found = seen + len(good), found or any(check.there in data for data in good)
            yield [data[check.there] for data in good if check.there in data]
            cursor, end = page.cursor, page.end
        if seen and not found:
            raise SourceError(
                f"The source of the check on '{check.column}' has no field '{check.there}'. Name the field in `field`."
            )
    finally:
        await source.close()
