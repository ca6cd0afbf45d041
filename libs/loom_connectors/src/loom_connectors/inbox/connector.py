"""Opens what `api://` means: the records that are given to a pipeline over HTTP."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.api_source import inbox_in
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.inbox.options import InboxOptions
from loom_connectors.inbox.source import InboxSource
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext


def open_source(config: ExtractConfig, context: ConnectorContext) -> InboxSource:
    """Open the inbox of a pipeline. Raises `ConfigurationError`."""
    options = options_of(InboxOptions, config.options, "extract")
    problems = []
    if inbox_in(config.source) is None:
        expected = "a name of letters, digits, - and _: api://tickets"
        problems.append(Problem(("extract", "source"), f"'{config.source}'", expected))
    if config.query is not None:
        problems.append(Problem(("extract", "query"), "a query", "none: records are given, and not asked for"))
    if problems:
        raise InvalidDefinition(problems)
    return InboxSource(config.source, context.inbox, options, context.clock, context.pace, looks=context.sample)
