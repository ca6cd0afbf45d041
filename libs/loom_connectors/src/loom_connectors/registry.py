"""Which connector a location belongs to: a system by its scheme; a file by its storage and its format.

A connector's module is imported when it is first asked for: a run over CSV files needs no Postgres driver."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.values.urls import query_of
from loom_connectors.built_in import DESTINATIONS, FORMATS, SOURCES, STORAGES
from loom_connectors.locations import Location
from loom_connectors.ports import ConnectorContext, Destination, DestinationFactory, Source, SourceFactory

if TYPE_CHECKING:
    from loom_connectors.custom import DataConnector
    from loom_connectors.files.format import Format
    from loom_connectors.files.storage import Storage

_LOCAL = ("", "file")
_registered: dict[str, type[DataConnector]] = {}


def register_connector(scheme: str, connector: type[DataConnector]) -> None:
    """Let locations of `scheme://...` be read and written by a connector of the user's own."""
    _registered[scheme.lower()] = connector


def known_schemes() -> list[str]:
    """Every scheme and ending a location may have."""
    return sorted({*STORAGES, *FORMATS, *SOURCES, *DESTINATIONS, *_registered} - {""})


def open_source(config: ExtractConfig, surroundings: ConnectorContext) -> Source:
    """The source that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    location = Location.of(config.source, surroundings)
    if connector := _registered_for(location):
        from loom_connectors.custom import ConnectorSource

        return ConnectorSource(connector, config, surroundings)
    if location.scheme in SOURCES:
        factory: SourceFactory = _found(SOURCES[location.scheme])
        return factory(config, surroundings)
    if location.scheme not in STORAGES:
        raise location.unknown_scheme("extract", {*STORAGES, *SOURCES, *_registered})
    from loom_connectors.files.source import FileSource

    reader = _format(location.format_in(config.options, FORMATS, "extract")).reader(config.options)
    written = surroundings.credentials.expand(config.source)
    return FileSource(config, _storage(location.scheme).inputs(written, surroundings), reader)


def open_destination(config: LoadConfig, surroundings: ConnectorContext) -> Destination:
    """The destination that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    location = Location.of(config.destination, surroundings)
    connector = _registered_for(location)
    if connector and surroundings.sample:
        return _sample_file(location.scheme or location.ending, config, surroundings)
    if connector:
        from loom_connectors.custom import ConnectorDestination

        return ConnectorDestination(connector, config, surroundings)
    if location.scheme in DESTINATIONS:
        factory: DestinationFactory = _found(DESTINATIONS[location.scheme])
        return factory(config, surroundings)
    if location.scheme not in STORAGES:
        raise location.unknown_scheme("load", {*STORAGES, *DESTINATIONS, *_registered})
    return _file(location, config, surroundings)


def is_local_file(location: str, surroundings: ConnectorContext) -> bool:
    """Whether a location names a file of this machine, or several, in whatever format."""
    named = Location.of(location, surroundings)
    return named.scheme in _LOCAL and _registered_for(named) is None


def scheme_in(location: str, surroundings: ConnectorContext) -> str:
    """The scheme of a location, or the ending of a path, be it known or not."""
    named = Location.of(location, surroundings)
    return named.scheme or named.ending


def _file(location: Location, config: LoadConfig, surroundings: ConnectorContext) -> Destination:
    from loom_connectors.files.destination import FileDestination

    name = location.format_in(config.options, FORMATS, "load")
    writer = _format(name).writer(config.options, name)
    written = surroundings.credentials.expand(config.destination)
    return FileDestination(config, surroundings, _storage(location.scheme).result(written, surroundings), writer)


def _sample_file(scheme: str, config: LoadConfig, surroundings: ConnectorContext) -> Destination:
    """Where a sample goes that would have gone to a connector of the user's own: nobody knows how to write beside what
    that writes to, so it is not called, and the rows go to a JSON Lines file in the pipeline's folder."""
    name = re.sub(r"[^\w.-]+", "_", query_of(config.destination).get("table") or scheme)
    place = {"destination": f"{name}.jsonl", "mode": None, "options": dict[str, Any]()}
    sample = config.model_copy(update=place)
    return _file(Location.of(sample.destination, surroundings), sample, surroundings)


def _registered_for(location: Location) -> type[DataConnector] | None:
    return _registered.get(location.scheme or location.ending)


def _storage(scheme: str) -> Storage:
    storage: Storage = _found(STORAGES[scheme])()
    return storage


def _format(name: str) -> Format:
    form: Format = _found(FORMATS[name])()
    return form


def _found(name: str) -> Any:
    """What a name of the form `module:attribute` stands for."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
