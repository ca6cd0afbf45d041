"""Opens what `kafka://` means: a topic as a source."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.kafka.address import Address
from loom_connectors.kafka.options import KafkaOptions
from loom_connectors.kafka.source import KafkaSource
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext


def open_source(config: ExtractConfig, context: ConnectorContext) -> KafkaSource:
    """Open the topic of a `kafka://` URL. Raises `ConfigurationError`."""
    options = options_of(KafkaOptions, config.options, "extract")
    address = Address.of(config.source, context)
    problems = []
    if not address.topic:
        expected = "the name of a topic: kafka://user:password@host:9092/reviews"
        problems.append(Problem(("extract", "source"), f"{address.shown} without a topic", expected))
    if config.query is not None:
        problems.append(Problem(("extract", "query"), "a query", "none: a topic is not asked"))
    if options.id_field == "_key" and "key" not in options.properties:
        expected = "a field that records have: `properties: [key]` gives them `_key`"
        problems.append(Problem(("extract", "options", "id_field"), "'_key'", expected))
    if problems:
        raise InvalidDefinition(problems)
    return KafkaSource(address, options, context.clock, pace=context.pace, looks=context.sample)
