"""Opens sources and destinations that plugins bring: a `DataConnector`, or a function that opens one; and the storages
and formats that they bring."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isabstract
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.urls import redacted
from loom_common.errors import LoomError, PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, missing_methods
from loom_common.text import named
from loom_connectors.custom import ConnectorDestination, ConnectorSource, DataConnector
from loom_connectors.files.format import Format
from loom_connectors.files.storage import Storage
from loom_connectors.options import Options, options_of
from loom_connectors.own_loop import DestinationOnItsLoop, SourceOnItsLoop
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Destination
from loom_connectors.ports.source import Source


def open_plugged_source(scheme: str, config: ExtractConfig, context: ConnectorContext) -> Source:
    """Open the source of a plugin. Raises `PluginUnusable`, and `InvalidDefinition` for options that it does not
    have."""
    found = _plugin(Kind.SOURCE, scheme)
    config = config.model_copy(update={"options": _options(found, config.options, "extract")})

    def open_one() -> Source:
        if isinstance(found, type) and issubclass(found, DataConnector):
            return ConnectorSource(found, config, context)
        opened: Source = _opened(Kind.SOURCE, scheme, lambda: found(config, context), Source)
        return opened

    return SourceOnItsLoop(f"The source {redacted(config.source)}", open_one, context)


def open_plugged_destination(scheme: str, config: LoadConfig, context: ConnectorContext) -> Destination:
    """Open the destination of a plugin. Raises as `open_plugged_source` does."""
    found = _plugin(Kind.DESTINATION, scheme)
    config = config.model_copy(update={"options": _options(found, config.options, "load")})

    def open_one() -> Destination:
        if isinstance(found, type) and issubclass(found, DataConnector):
            return ConnectorDestination(found, config, context)
        opened: Destination = _opened(Kind.DESTINATION, scheme, lambda: found(config, context), Destination)
        return opened

    return DestinationOnItsLoop(f"The destination {redacted(config.destination)}", open_one, context)


def open_storage(scheme: str) -> Storage:
    """Open the storage of a plugin. Raises `PluginUnusable`."""
    storage: Storage = _made(Kind.STORAGE, scheme, Storage)
    return storage


def open_format(name: str) -> Format:
    """Open the format of a plugin. Raises `PluginUnusable`."""
    form: Format = _made(Kind.FORMAT, name, Format)
    return form


def is_storage(reference: str) -> bool:
    """Tell whether the class that `module:name` names is a storage. Raises `PluginUnusable` where there is none."""
    found = find(Kind.STORAGE, reference)
    return isinstance(found, type) and not missing_methods(found, Storage)


def check(kind: Kind, name: str) -> None:
    """Raises `PluginUnusable` where a plugin cannot be used, as far as can be told without a location."""
    match kind:
        case Kind.SOURCE | Kind.DESTINATION:
            _plugin(kind, name)
        case Kind.STORAGE:
            open_storage(name)
        case Kind.FORMAT:
            open_format(name)
        case _:
            find(kind, name)


def _plugin(kind: Kind, scheme: str) -> Any:
    found = find(kind, scheme)
    if isinstance(found, type) and isabstract(found):
        lacking = ", ".join(f"`{each}`" for each in sorted(found.__abstractmethods__))  # type: ignore[attr-defined]
        raise PluginUnusable(f"The {kind} '{scheme}' ({found.__qualname__}) does not define {lacking}.")
    if not callable(found):
        raise PluginUnusable(f"The {kind} '{scheme}' is no DataConnector, and no function that opens a {kind}.")
    return found


def _made(kind: Kind, name: str, contract: type) -> Any:
    found = find(kind, name)
    if not callable(found):
        raise PluginUnusable(f"The {kind} '{name}' is no class that makes one.")
    return _opened(kind, name, found, contract)


def _opened(kind: Kind, name: str, call: Callable[[], Any], contract: type) -> Any:
    """Return what a plugin's class or function makes. Raises `PluginUnusable` where that is not of its kind."""
    try:
        opened = call()
    except LoomError:
        raise
    except Exception as error:  # it is the plugin's code
        raise PluginUnusable(f"The {kind} '{name}' cannot be made: {named(error)}.") from error
    if lacking := missing_methods(opened, contract):
        methods = ", ".join(f"`{each}`" for each in lacking)
        raise PluginUnusable(
            f"The {kind} '{name}' makes {type(opened).__name__}, which is no {kind}: it has no {methods}, which "
            f"`{contract.__module__}.{contract.__qualname__}` asks for."
        )
    return opened


def _options(plugin: object, given: dict[str, Any], section: str) -> dict[str, Any]:
    """A plugin that says which options it has, by a model, gets those of the model, with their defaults."""
    model = getattr(plugin, "options", None)
    if isinstance(model, type) and issubclass(model, Options):
        return options_of(model, given, section).model_dump()
    return given
