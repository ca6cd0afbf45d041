"""Finds the records that labels belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loom.benchmarks.data.labels import Labels, rows_of
from loom.benchmarks.figures.result import Joined
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.model_options.params import resolved, typed
from loom_common.errors import ConfigurationError, RecordError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReadRecord

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class LabelledRecords:
    """Holds the records of a source that have labels, by their ids."""

    records: Mapping[str, ReadRecord]
    joined: Joined


async def labelled_records(
    loaded: LoadedPipeline,
    config: LoomConfig,
    labels: Labels,
    source: str,
    params: Mapping[str, Any],
    sample: int | None = None,
) -> LabelledRecords:
    """Read the records of a pipeline's source that have labels, at most `sample`. The source is read until every label
    has found its record. Raises `ConfigurationError` where none has, and what reading the source raises."""
    keys = loaded.pipeline.extract.keys
    specs = loaded.pipeline.params
    context = ConnectorContext(
        folder=loaded.folder,
        allowed=config.allowed,
        credentials=config.secrets,
        params=typed(specs, resolved(specs, dict(params))),
        record_key=keys,
    )
    wanted = len(labels.values) if sample is None else min(sample, len(labels.values))
    found: dict[str, ReadRecord] = {}
    read = unlabelled = 0
    whole = True
    async for record in rows_of(loaded.pipeline.extract, context):
        read += 1
        name = _id_of(record, keys)
        if name is None or name not in labels.values:
            unlabelled += 1
        elif name not in found:
            found[name] = record
        if len(found) >= wanted:
            whole = False
            break
    unmatched = [name for name in labels.values if name not in found] if sample is None else []
    if not found:
        example = next(iter(labels.values))
        raise ConfigurationError(
            f"No label of {source} belongs to a record of {loaded.pipeline.name}: {read:,} records were read, and none "
            f"has the key of a label, e.g. {example!r}. See --key, and `extract.key` ({', '.join(keys)})."
        )
    return LabelledRecords(
        found,
        Joined(
            file=source,
            column=labels.column,
            rows=labels.rows,
            empty=labels.empty,
            without_key=labels.without_key,
            labelled=len(labels.values),
            unmatched=len(unmatched),
            unmatched_examples=unmatched[:_EXAMPLES],
            read=read,
            unlabelled=unlabelled,
            whole=whole,
            measured=len(found),
        ),
    )


def _id_of(record: ReadRecord, keys: tuple[str, ...]) -> str | None:
    if record.error is not None:
        return None
    try:
        return key_of(record.data, keys)
    except RecordError:
        return None
