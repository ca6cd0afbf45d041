"""Which connector a location belongs to: a system by its scheme; a file by its storage and its format.

A connector's module is imported when it is first asked for: a run over CSV files needs no Postgres driver."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.values.urls import query_of
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names, register
from loom_connectors.built_in import DESTINATIONS, FORMATS, SOURCES, STORAGES
from loom_connectors.locations import Location
from loom_connectors.ports import ConnectorContext, Destination, DestinationFactory, Source, SourceFactory

if TYPE_CHECKING:
    from loom_connectors.custom import DataConnector
    from loom_connectors.files.format import Format
    from loom_connectors.files.storage import Storage

_LOCAL = ("", "file")
SCHEMES = tuple(sorted({*STORAGES, *FORMATS, *SOURCES, *DESTINATIONS} - {""}))
"""Every scheme and ending that Loom knows itself."""


def register_connector(scheme: str, connector: type[DataConnector]) -> None:
    """Let locations of `scheme://...` be read and written by a connector of the user's own, in this process. Raises
    `ConfigurationError` for a scheme or an ending that Loom knows itself."""
    for kind in (Kind.SOURCE, Kind.DESTINATION):
        register(kind, scheme.lower(), connector, SCHEMES)


def known_schemes() -> list[str]:
    """Every scheme and ending a location may have."""
    kinds = (Kind.SOURCE, Kind.DESTINATION, Kind.STORAGE, Kind.FORMAT)
    return sorted({*SCHEMES, *(name for kind in kinds for name in names(kind))})


def open_source(config: ExtractConfig, context: ConnectorContext) -> Source:
    """The source that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    location = Location.of(config.source, context)
    if (plugin := _plugged(Kind.SOURCE, location)) is not None:
        from loom_connectors.plugged import open_plugged_source

        return open_plugged_source(plugin, config, context)
    if location.scheme in SOURCES:
        factory: SourceFactory = _found(SOURCES[location.scheme])
        return factory(config, context)
    if not _is_storage(location.scheme):
        known = {*STORAGES, *SOURCES, *names(Kind.SOURCE), *names(Kind.STORAGE)}
        raise location.unknown_scheme("extract", known)
    from loom_connectors.files.source import FileSource

    reader = _format(location.format_in(config.options, _formats(location, config.options), "extract")).reader(
        config.options
    )
    written = context.credentials.expand(config.source)
    return FileSource(config, _storage(location.scheme).inputs(written, context), reader)


def open_destination(config: LoadConfig, context: ConnectorContext) -> Destination:
    """The destination that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    location = Location.of(config.destination, context)
    plugin = _plugged(Kind.DESTINATION, location)
    if plugin is not None and context.sample:
        return _sample_file(plugin, config, context)
    if plugin is not None:
        from loom_connectors.plugged import open_plugged_destination

        return open_plugged_destination(plugin, config, context)
    if location.scheme in DESTINATIONS:
        factory: DestinationFactory = _found(DESTINATIONS[location.scheme])
        return factory(config, context)
    if not _is_storage(location.scheme):
        known = {*STORAGES, *DESTINATIONS, *names(Kind.DESTINATION), *names(Kind.STORAGE)}
        raise location.unknown_scheme("load", known)
    return _file(location, config, context)


def is_local_file(location: str, context: ConnectorContext) -> bool:
    """Whether a location names a file of this machine, or several, in whatever format."""
    named = Location.of(location, context)
    return named.scheme in _LOCAL and _plugged(Kind.DESTINATION, named) is None


def scheme_in(location: str, context: ConnectorContext) -> str:
    """The scheme of a location, or the ending of a path, be it known or not."""
    named = Location.of(location, context)
    return named.scheme or named.ending


def _file(location: Location, config: LoadConfig, context: ConnectorContext) -> Destination:
    from loom_connectors.files.destination import FileDestination

    name = location.format_in(config.options, _formats(location, config.options), "load")
    writer = _format(name).writer(config.options, name)
    written = context.credentials.expand(config.destination)
    return FileDestination(config, context, _storage(location.scheme).result(written, context), writer)


def _sample_file(scheme: str, config: LoadConfig, context: ConnectorContext) -> Destination:
    """Where a sample goes that would have gone to a connector of the user's own: nobody knows how to write beside what
    that writes to, so it is not called, and the rows go to a JSON Lines file in the pipeline's folder."""
    name = re.sub(r"[^\w.-]+", "_", query_of(config.destination).get("table") or scheme)
    place = {"destination": f"{name}.jsonl", "mode": None, "options": dict[str, Any]()}
    sample = config.model_copy(update=place)
    return _file(Location.of(sample.destination, context), sample, context)


def _plugged(kind: Kind, location: Location) -> str | None:
    """The plugin that serves a location; None where it is Loom's to serve."""
    name = location.scheme or location.ending
    return None if name in SCHEMES or name not in names(kind) else name


def _is_storage(scheme: str) -> bool:
    return scheme in STORAGES or scheme in names(Kind.STORAGE)


def _formats(location: Location, options: Mapping[str, Any]) -> Collection[str]:
    """The formats that a file may have. Those of plugins are looked for where the file's is none of Loom's."""
    if location.ending in FORMATS and "format" not in options:
        return FORMATS
    return {*FORMATS, *names(Kind.FORMAT)}


def _storage(scheme: str) -> Storage:
    storage: Storage = _found(STORAGES[scheme])() if scheme in STORAGES else _made(Kind.STORAGE, scheme)
    return storage


def _format(name: str) -> Format:
    form: Format = _found(FORMATS[name])() if name in FORMATS else _made(Kind.FORMAT, name)
    return form


def _made(kind: Kind, name: str) -> Any:
    """A plugin's storage or format. Raises `PluginUnusable`."""
    plugin = find(kind, name)
    if not callable(plugin):
        raise PluginUnusable(f"The {kind} '{name}' is no class that makes one.")
    return plugin()


def _found(name: str) -> Any:
    """What a name of the form `module:attribute` stands for."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
