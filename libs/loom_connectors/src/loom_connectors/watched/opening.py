"""Opens a source that is read as a stream."""

from __future__ import annotations

from dataclasses import replace

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors import registry
from loom_connectors.built_in import BUCKETS, implementation_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import AskedSource, ReceivingSource
from loom_connectors.watched.files import WatchedFiles
from loom_connectors.watched.folder import FolderListing
from loom_connectors.watched.listing import Listing
from loom_connectors.watched.table import PolledTable

_EXPECTED = (
    "a source that can be read as a stream: a queue of RabbitMQ (`amqp://`), a stream of Redis "
    "(`redis://`), a topic of Kafka (`kafka://`), what is given over HTTP (`api://tickets`), files of this machine or "
    "objects of a bucket, by a folder or a pattern (`inbox/*.jsonl`, `s3://bucket/inbox/*.jsonl`), a table or an API "
    "with `extract.incremental`, or an API (`rest+https://`) with `options.long_poll`"
)


def open_stream(config: ExtractConfig, context: ConnectorContext, pace: Pace) -> ReceivingSource:
    """Open the source that `config` names, to be read as a stream. Connects to nothing yet. Raises
    `ConfigurationError`, also for a source that cannot be one."""
    paced = replace(context, pace=pace)
    if registry.is_object(config.source, context):
        return _objects(config, context, pace)
    if config.lag is not None:
        expected = "nothing: it is for objects of a bucket; a table has `incremental.lag`"
        raise _unused("lag", config.lag, expected)
    if registry.is_local_file(config.source, context):
        return WatchedFiles(FolderListing(config, context), pace, context.clock)
    if registry.is_file(config.source, context):
        raise _cannot(config)
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


def _objects(config: ExtractConfig, context: ConnectorContext, pace: Pace) -> ReceivingSource:
    if config.settle is not None:
        raise _unused("settle", config.settle, "nothing: an object appears when all of it has been written")
    # Its module needs the extra `objects`.
    known = dict.fromkeys(BUCKETS, "loom_connectors.watched.bucket:BucketListing")
    listing: Listing = implementation_of(known, registry.scheme_in(config.source, context))(config, context)
    return WatchedFiles(listing, pace, context.clock)


def _cannot(config: ExtractConfig) -> InvalidDefinition:
    return InvalidDefinition([Problem(("extract", "source"), f"'{redacted(config.source)}'", _EXPECTED)])


def _once(source: ReceivingSource) -> str:
    asked = isinstance(source, AskedSource)
    return "the cursor of an answer says what is new" if asked else "a queue gives a message once"


def _unused(key: str, written: str, expected: str) -> InvalidDefinition:
    return InvalidDefinition([Problem(("extract", key), f"'{written}'", expected)])
