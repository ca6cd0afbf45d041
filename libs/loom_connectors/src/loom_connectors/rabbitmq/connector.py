"""Opens what `amqp://` means: a queue as a source, and an exchange as a destination."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.rabbitmq.address import Address
from loom_connectors.rabbitmq.destination import ExchangeDestination
from loom_connectors.rabbitmq.options import ExchangeOptions, QueueOptions
from loom_connectors.rabbitmq.source import QueueSource
from loom_connectors.rabbitmq.templates import mistake_in


def open_source(config: ExtractConfig, context: ConnectorContext) -> QueueSource:
    """Open the queue of an `amqp://` URL. Raises `ConfigurationError`."""
    options = options_of(QueueOptions, config.options, "extract")
    address = Address.of(config.source, context, ("queue",))
    problems = []
    if not address.settings.get("queue"):
        expected = "the name of a queue: amqp://user:password@host/vhost?queue=reviews"
        problems.append(Problem(("extract", "source"), f"{address.shown} without a queue", expected))
    if config.query is not None:
        problems.append(Problem(("extract", "query"), "a query", "none: a queue is not asked"))
    if context.pace is not None:
        problems += [
            Problem(("extract", "options", name), repr(config.options[name]), "nothing: a stream takes what comes")
            for name in ("until", "idle_timeout", "limit")
            if name in config.options
        ]
    if problems:
        raise InvalidDefinition(problems)
    return QueueSource(address, address.settings["queue"], options, context.pace)


def open_destination(config: LoadConfig, context: ConnectorContext) -> ExchangeDestination:
    """Open the exchange of an `amqp://` URL. Raises `ConfigurationError`."""
    options = options_of(ExchangeOptions, config.options, "load")
    address = Address.of(config.destination, context, ("exchange", "routing_key"))
    routing_key = options.routing_key if options.routing_key is not None else address.settings.get("routing_key", "")
    problems = []
    if "exchange" not in address.settings:
        expected = "the name of an exchange: amqp://user:password@host/vhost?exchange=scores"
        problems.append(Problem(("load", "destination"), f"{address.shown} without an exchange", expected))
    if config.mode not in (None, "append"):
        expected = "`append`, or no mode: a message that is published cannot be changed"
        problems.append(Problem(("load", "mode"), f"'{config.mode}'", expected))
    templates = {"routing_key": routing_key, "message_id": options.message_id or ""}
    for key, template in {**templates, **{f"headers.{name}": each for name, each in options.headers.items()}}.items():
        if (mistake := mistake_in(template)) is not None:
            path = ("load", "options", *key.split(".", 1))
            problems.append(Problem(path, f"'{template}', with {mistake}", "text with fields as `{{ label }}`"))
    if problems:
        raise InvalidDefinition(problems)
    return ExchangeDestination(address, address.settings["exchange"], routing_key, options)
