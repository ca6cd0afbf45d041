"""Opens what `redis://` means: a stream as a source."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.redis_streams.address import Address
from loom_connectors.redis_streams.options import RedisStreamOptions
from loom_connectors.redis_streams.source import RedisStreamSource


def open_source(config: ExtractConfig, context: ConnectorContext) -> RedisStreamSource:
    """Open the stream of a `redis://` URL. Raises `ConfigurationError`."""
    options = options_of(RedisStreamOptions, config.options, "extract")
    address = Address.of(config.source, context)
    problems = []
    if not address.stream:
        expected = "the key of a stream: redis://user:password@host/0?stream=reviews"
        problems.append(Problem(("extract", "source"), f"{address.shown} without a stream", expected))
    if config.query is not None:
        problems.append(Problem(("extract", "query"), "a query", "none: a stream is not asked"))
    if problems:
        raise InvalidDefinition(problems)
    return RedisStreamSource(
        address, options, context.clock, pace=context.pace, reader=context.reader, looks=context.sample
    )
