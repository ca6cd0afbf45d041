"""Chooses the connector that a location belongs to: a system by its scheme; a file by its storage and its format.

A connector's module is imported when it is first asked for: a run over CSV files needs no Postgres driver."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.urls import query_of
from loom_common.errors import ConfigurationError, InvalidDefinition, PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import is_reference, names, register
from loom_connectors.built_in import (
    APIS,
    BUCKETS,
    DESTINATIONS,
    FORMATS,
    GIVEN,
    KEPT,
    NO_TRIAL,
    ONLY_READ,
    PYTHON,
    SOURCES,
    STORAGES,
    implementation_of,
)
from loom_connectors.locations import Location, taken_apart, unusable_plugin
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Destination, DestinationFactory
from loom_connectors.ports.source import Source, SourceFactory

if TYPE_CHECKING:
    from loom_connectors.custom import DataConnector
    from loom_connectors.files.format import Format
    from loom_connectors.files.storage import Inputs, Storage, StoredFile

_LOCAL = ("", "file")
SCHEMES = tuple(sorted({*STORAGES, *FORMATS, *SOURCES, *DESTINATIONS, *GIVEN, *KEPT} - {""}))
"""Every scheme and ending that Loom knows itself."""


def register_connector(scheme: str, connector: type[DataConnector]) -> None:
    """Let locations of `scheme://...` be read and written by a connector of the user's own, in this process. Raises
    `ConfigurationError` for a scheme or an ending that Loom knows itself."""
    for kind in (Kind.SOURCE, Kind.DESTINATION):
        register(kind, scheme.lower(), connector, SCHEMES)


def register_format(name: str, form: Callable[[], Format]) -> None:
    """Let files whose names end in `.<name>`, or whose option `format` is `name`, be read and written by a format of
    the user's own, in this process. Raises `ConfigurationError` for a scheme or an ending that Loom knows itself."""
    register(Kind.FORMAT, name.lower(), form, SCHEMES)


def register_storage(scheme: str, storage: Callable[[], Storage]) -> None:
    """Let files of `scheme://...` lie in a storage of the user's own, in this process. Raises `ConfigurationError` for
    a scheme or an ending that Loom knows itself."""
    register(Kind.STORAGE, scheme.lower(), storage, SCHEMES)


def open_source(config: ExtractConfig, context: ConnectorContext) -> Source:
    """Open the source that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    location = Location.of(config.source, context)
    try:
        return _source(location, config, context)
    except PluginUnusable as error:
        raise location.unusable("extract", error) from error


def inputs_of(config: ExtractConfig, context: ConnectorContext) -> Inputs:
    """Return the files of a source that lies in a storage. Raises `ConfigurationError`."""
    location = Location.of(config.source, context)
    return _storage(location.scheme).inputs(_written(location, config.source, context), context)


def open_files(config: ExtractConfig, context: ConnectorContext, inputs: Inputs | None = None) -> Source:
    """Open a source of the files that `config` names, or of these `inputs`, in the format that it names. Raises
    `ConfigurationError`."""
    from loom_connectors.files.format import RecordReader
    from loom_connectors.files.reading.source import FileSource

    location = Location.of(config.source, context)
    form = _format(location, config.options, "extract")[0]
    reader = form.reader(config.options)
    packed = location.compressed(config.options, "extract", allowed=isinstance(reader, RecordReader))
    return FileSource(
        config,
        inputs_of(config, context) if inputs is None else inputs,
        reader,
        near=location.scheme in _LOCAL,
        compression=packed,
        partitions=config.options.get("partitions", True) is True,
    )


def open_destination(config: LoadConfig, context: ConnectorContext) -> Destination:
    """Open the destination that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    location = Location.of(config.destination, context)
    try:
        return _destination(location, config, context)
    except PluginUnusable as error:
        raise location.unusable("load", error) from error


def named_file(location: str, context: ConnectorContext) -> tuple[Inputs, StoredFile]:
    """Return the one file that a location names, in whatever storage, with what tells its trouble. Raises
    `ConfigurationError` where it names several, or is no storage's."""
    named = Location.of(location, context)
    if not _is_storage(named.scheme):
        raise named.unknown_scheme("attachment", {*STORAGES})
    inputs = _storage(named.scheme).inputs(_written(named, location, context), context)
    if inputs.several():
        raise ConfigurationError(f"'{named.shown}' names several files; expected one.")
    return inputs, inputs.files()[0]


def plugin_names(location: str, options: Mapping[str, Any], kind: Kind) -> Iterator[tuple[Kind, str]]:
    """Yield the names that a location of a source or a destination, which is the `kind`, may have plugins for. Where
    all of it is a credential reference, only the option `format` is known."""
    if not location.startswith("${"):
        scheme, ending = taken_apart(location)
        yield kind, scheme or ending
        yield Kind.STORAGE, scheme
        yield Kind.FORMAT, ending
    if isinstance(named := options.get("format"), str):
        yield Kind.FORMAT, named.lower()


def referring_texts(location: str, options: Mapping[str, Any]) -> list[str]:
    """Return the texts that credentials are put into: the location, and what the options of an API hold."""
    is_api = location.startswith("${") or re.split(r"[+:]", location)[0].lower() in APIS
    return [location, *(texts_in(options) if is_api else ())]


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in options, however deep it lies. Keys are none."""
    match value:
        case str():
            yield value
        case Mapping() | list():
            for each in value.values() if isinstance(value, Mapping) else value:
                yield from texts_in(each)


def runs_foreign_code(location: str, kind: Kind) -> bool:
    """Tell whether a source or a destination, which is the `kind`, is a function of the user's or a plugin."""
    scheme, ending = taken_apart(location)
    name = scheme or ending
    return name == PYTHON or is_reference(name) or (name not in SCHEMES and name in names(kind))


def gets_params(location: Any, options: Any, kind: Kind) -> bool:
    """Tell whether code that is not Loom's gets the parameters of a run, as written: a function that is a source, or a
    plugin that is the `kind`, a storage or a format."""
    if not isinstance(location, str):
        return False
    found = set(plugin_names(location, options if isinstance(options, Mapping) else {}, kind))
    return (Kind.SOURCE, PYTHON) in found or any(
        is_reference(name) or (name not in SCHEMES and name in names(each)) for each, name in found
    )


def is_local_file(location: str, context: ConnectorContext) -> bool:
    """Tell whether a location names a file of this machine, or several, in whatever format."""
    named = Location.of(location, context)
    return named.scheme in _LOCAL and _plugged(Kind.DESTINATION, named) is None


def is_object(location: str, context: ConnectorContext) -> bool:
    """Tell whether a location names an object of a bucket, or several, in whatever format."""
    named = Location.of(location, context)
    return named.scheme in BUCKETS and _plugged(Kind.DESTINATION, named) is None


def is_file(location: str, context: ConnectorContext) -> bool:
    """Tell whether a location names a file, or several, in whatever storage."""
    named = Location.of(location, context)
    return _plugged(Kind.DESTINATION, named) is None and named.scheme not in DESTINATIONS and _is_storage(named.scheme)


def scheme_in(location: str, context: ConnectorContext) -> str:
    """Return the scheme of a location, or the ending of a path, be it known or not."""
    named = Location.of(location, context)
    return named.scheme or named.ending


def _source(location: Location, config: ExtractConfig, context: ConnectorContext) -> Source:
    if (plugin := _plugged(Kind.SOURCE, location)) is not None:
        from loom_connectors.plugged import open_plugged_source

        return open_plugged_source(plugin, config, context)
    if location.scheme in SOURCES or location.scheme in GIVEN:
        factory: SourceFactory = implementation_of({**SOURCES, **GIVEN}, location.scheme)
        return factory(config, context)
    if not _is_storage(location.scheme):
        known = {*STORAGES, *SOURCES, *names(Kind.SOURCE), *names(Kind.STORAGE)}
        raise location.unknown_scheme("extract", known - {PYTHON})
    return open_files(config, context)


def _destination(location: Location, config: LoadConfig, context: ConnectorContext) -> Destination:
    plugin = _plugged(Kind.DESTINATION, location)
    if plugin is not None and context.sample:
        return _sample_file(plugin, config, context)
    if plugin is not None:
        from loom_connectors.plugged import open_plugged_destination

        return open_plugged_destination(plugin, config, context)
    if location.scheme in NO_TRIAL and context.sample:
        return _sample_file(location.scheme, config, context)
    if location.scheme in DESTINATIONS or location.scheme in KEPT:
        factory: DestinationFactory = implementation_of({**DESTINATIONS, **KEPT}, location.scheme)
        return factory(config, context)
    if not _is_storage(location.scheme):
        known = {*STORAGES, *DESTINATIONS, *names(Kind.DESTINATION), *names(Kind.STORAGE)}
        raise location.unknown_scheme("load", known - {PYTHON})
    return _file(location, config, context)


def _file(location: Location, config: LoadConfig, context: ConnectorContext) -> Destination:
    from loom_connectors.files.compression import packing
    from loom_connectors.files.destination import FileDestination
    from loom_connectors.files.format import RowWriter, TextWriter

    form, name = _format(location, config.options, "load")
    writer = form.writer(config.options, name)
    packed = location.compressed(config.options, "load", allowed=isinstance(writer, RowWriter | TextWriter))
    if packed is not None and isinstance(writer, RowWriter | TextWriter):
        writer = packing(writer, packed)
    written = _written(location, config.destination, context)
    return FileDestination(config, context, _storage(location.scheme).result(written, context), writer)


def _sample_file(scheme: str, config: LoadConfig, context: ConnectorContext) -> Destination:
    """Return where a sample goes that would have gone to a connector of the user's own, or to an exchange or an API:
    nobody knows how to write beside that, so it is not called, and the rows go to a JSON Lines file in the pipeline's
    folder."""
    query = query_of(config.destination)
    name = re.sub(r"[^\w.-]+", "_", query.get("table") or query.get("exchange") or scheme)
    place = {"destination": f"{name}.jsonl", "mode": None, "options": dict[str, Any]()}
    sample = config.model_copy(update=place)
    return _file(Location.of(sample.destination, context), sample, context)


def _plugged(kind: Kind, location: Location) -> str | None:
    """Return the plugin that serves a location; None where it is Loom's to serve, or a storage's."""
    name = location.scheme or location.ending
    if is_reference(name):
        return None if _is_storage(name) else name
    return None if name in SCHEMES or name not in names(kind) else name


def _written(location: Location, written: str, context: ConnectorContext) -> str:
    """Return a location with its secrets. Those in the URL of a storage that Loom brings are percent-encoded."""
    return context.credentials.expand(written, in_url=location.scheme in {*STORAGES} - {*_LOCAL})


def _is_storage(scheme: str) -> bool:
    if is_reference(scheme):
        from loom_connectors.plugged import is_storage

        return is_storage(scheme)
    return scheme in STORAGES or scheme in names(Kind.STORAGE)


def _storage(scheme: str) -> Storage:
    if scheme in STORAGES:
        own: Storage = implementation_of(STORAGES, scheme)()
        return own
    from loom_connectors.plugged import open_storage

    return open_storage(scheme)


def _format(location: Location, options: Mapping[str, Any], section: str) -> tuple[Format, str]:
    """Return the format of a file, and its name. Those of plugins are looked for where the file's is none of Loom's.
    Raises `InvalidDefinition`."""
    own = location.ending in FORMATS and "format" not in options
    known = {*FORMATS} if own else {*FORMATS, *names(Kind.FORMAT)}
    name = location.format_in(options, known, section, known - ONLY_READ if section == "load" else known)
    if name in FORMATS:
        return implementation_of(FORMATS, name)(), name
    from loom_connectors.plugged import open_format

    try:
        return open_format(name), name
    except PluginUnusable as error:
        if "format" not in options:
            raise
        raise InvalidDefinition([unusable_plugin((section, "options", "format"), name, error)]) from error
