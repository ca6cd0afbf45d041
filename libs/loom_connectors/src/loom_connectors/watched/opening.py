"""Opens a source that is read as a stream."""

from __future__ import annotations

from dataclasses import replace

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors import registry
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import AskedSource, ReceivingSource
from loom_connectors.watched.folder import WatchedFolder
from loom_connectors.watched.table import PolledTable

_EXPECTED = (
    "a source that can be read as a stream: a queue of RabbitMQ (`amqp://`), a stream of Redis "
    "(`redis://`), what is given over HTTP (`api://tickets`), files of this machine by a folder or a pattern "
    "(`inbox/*.jsonl`), a table or an API with `extract.incremental`, or an API (`rest+https://`) with "
    "`options.long_poll`"
)


def open_stream(config: ExtractConfig, context: ConnectorContext, pace: Pace) -> ReceivingSource:
    """Open the source that `config` names, to be read as a stream. Connects to nothing yet. Raises
    `ConfigurationError`, also for a source that cannot be one."""
    paced = replace(context, pace=pace)
    if registry.is_file(config.source, context):
        if not registry.is_local_file(config.source, context):
            raise _cannot(config)
        return WatchedFolder(config, context, pace, registry.open_source)
    if config.settle is not None:
        raise _unused("settle", config.settle, "nothing: it is for files that may still be written to")
    source = registry.open_source(config, paced)
    if isinstance(source, ReceivingSource):
        if config.poll is not None and not isinstance(source, AskedSource):
            raise _unused("poll", config.poll, "nothing: a queue tells of its messages itself")
        if config.incremental is not None:
            problem = Problem(("extract", "incremental"), "incremental extraction", f"none: {_once(source)}")
            raise InvalidDefinition([problem])
        return source
    if config.incremental is None:
        raise _cannot(config)
    return PolledTable(config, context, pace, source, registry.open_source)


def _cannot(config: ExtractConfig) -> InvalidDefinition:
    return InvalidDefinition([Problem(("extract", "source"), f"'{redacted(config.source)}'", _EXPECTED)])


def _once(source: ReceivingSource) -> str:
    asked = isinstance(source, AskedSource)
    return "the cursor of an answer says what is new" if asked else "a queue gives a message once"


def _unused(key: str, written: str, expected: str) -> InvalidDefinition:
    return InvalidDefinition([Problem(("extract", key), f"'{written}'", expected)])
