"""Opens what `rest+https://` and `rest+http://` mean: a `Source` and a `Destination`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.rest.http.options import RestDestinationOptions, RestSourceOptions
from loom_connectors.rest.loading.destination import RestDestination
from loom_connectors.rest.reading.long_poll import LongPolledApi
from loom_connectors.rest.reading.source import RestSource


def open_source(config: ExtractConfig, context: ConnectorContext) -> RestSource | LongPolledApi:
    """Open a REST API as a source. Raises `ConfigurationError`."""
    options = options_of(RestSourceOptions, config.options, "extract")
    if options.long_poll is not None:
        return LongPolledApi(config, options, options.long_poll, context)
    return RestSource(config, options, context)


def open_destination(config: LoadConfig, context: ConnectorContext) -> RestDestination:
    """Open a REST API as a destination. Raises `ConfigurationError`."""
    return RestDestination(config, options_of(RestDestinationOptions, config.options, "load"), context)
