"""Sources and destinations that plugins bring: a `DataConnector`, or a function that opens one."""

from __future__ import annotations

from typing import Any

from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find
from loom_connectors.custom import ConnectorDestination, ConnectorSource, DataConnector
from loom_connectors.options import Options, options_of
from loom_connectors.ports import ConnectorContext, Destination, Source


def open_plugged_source(scheme: str, config: ExtractConfig, context: ConnectorContext) -> Source:
    """The source of a plugin. Raises `PluginUnusable`, and `InvalidDefinition` for options that it does not have."""
    found = _plugin(Kind.SOURCE, scheme)
    config = config.model_copy(update={"options": _options(found, config.options, "extract")})
    if isinstance(found, type) and issubclass(found, DataConnector):
        return ConnectorSource(found, config, context)
    opened: Source = found(config, context)
    return opened


def open_plugged_destination(scheme: str, config: LoadConfig, context: ConnectorContext) -> Destination:
    """The destination of a plugin. Raises as `open_plugged_source` does."""
    found = _plugin(Kind.DESTINATION, scheme)
    config = config.model_copy(update={"options": _options(found, config.options, "load")})
    if isinstance(found, type) and issubclass(found, DataConnector):
        return ConnectorDestination(found, config, context)
    opened: Destination = found(config, context)
    return opened


def _plugin(kind: Kind, scheme: str) -> Any:
    found = find(kind, scheme)
    if not callable(found):
        raise PluginUnusable(f"The {kind} '{scheme}' is no DataConnector, and no function that opens a {kind}.")
    return found


def _options(plugin: object, given: dict[str, Any], section: str) -> dict[str, Any]:
    """A plugin that says which options it has, by a model, gets those of the model, with their defaults."""
    model = getattr(plugin, "options", None)
    if isinstance(model, type) and issubclass(model, Options):
        return options_of(model, given, section).model_dump()
    return given
