"""Which connector a location belongs to: by its scheme, or by the suffix of its path.

A connector's module is imported when it is first asked for: a run over CSV files needs no Postgres driver."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.values.urls import query_of, redacted, scheme_of
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.options import closest
from loom_connectors.ports import ConnectorContext, Destination, Source

if TYPE_CHECKING:
    from loom_connectors.custom import DataConnector

_MODULES = {
    "csv": "formats.csv",
    "tsv": "formats.csv",
    "jsonl": "formats.jsonl",
    "ndjson": "formats.jsonl",
    "sqlite": "sqlite.connector",
    "postgres": "postgres.connector",
    "postgresql": "postgres.connector",
}
_FILES = ("csv", "tsv", "jsonl", "ndjson")
_registered: dict[str, type[DataConnector]] = {}


def register_connector(scheme: str, connector: type[DataConnector]) -> None:
    """Let locations of `scheme://...` be read and written by a connector of the user's own."""
    _registered[scheme.lower()] = connector


def known_schemes() -> list[str]:
    """Every scheme and suffix a location may have."""
    return sorted({*_MODULES, *_registered})


def open_source(config: ExtractConfig, surroundings: ConnectorContext) -> Source:
    """The source that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    scheme = _scheme(config.source, surroundings, "extract.source")
    if connector := _registered.get(scheme):
        from loom_connectors.custom import ConnectorSource

        return ConnectorSource(connector, config, surroundings)
    source: Source = _module(scheme).open_source(config, surroundings)
    return source


def open_destination(config: LoadConfig, surroundings: ConnectorContext) -> Destination:
    """The destination that `config` names. Connects to nothing yet. Raises `ConfigurationError`."""
    scheme = _scheme(config.destination, surroundings, "load.destination")
    if scheme in _registered and surroundings.sample:
        return _sample_file(scheme, config, surroundings)
    if connector := _registered.get(scheme):
        from loom_connectors.custom import ConnectorDestination

        return ConnectorDestination(connector, config, surroundings)
    destination: Destination = _module(scheme).open_destination(config, surroundings)
    return destination


def _sample_file(scheme: str, config: LoadConfig, surroundings: ConnectorContext) -> Destination:
    """Where a sample goes that would have gone to a connector of the user's own: nobody knows how to write beside what
    that writes to, so it is not called, and the rows go to a JSON Lines file in the pipeline's folder."""
    name = re.sub(r"[^\w.-]+", "_", query_of(config.destination).get("table") or scheme)
    place = {"destination": f"{name}.jsonl", "mode": None, "options": dict[str, Any]()}
    destination: Destination = _module("jsonl").open_destination(config.model_copy(update=place), surroundings)
    return destination


def scheme_in(location: str, surroundings: ConnectorContext) -> str:
    """The scheme or suffix of a location, be it known or not."""
    written = scheme_of(location)
    if "${" in written or not written:  # the whole URL may be a reference: ${DATABASE_URL}
        written = scheme_of(surroundings.credentials.expand(location))
    return written.partition("?")[0].partition("+")[0]


def _scheme(location: str, surroundings: ConnectorContext, key: str) -> str:
    scheme = scheme_in(location, surroundings)
    if scheme in _MODULES or scheme in _registered:
        return scheme
    known = known_schemes()
    expected = (
        f"a path that ends in one of {', '.join(f'.{each}' for each in _FILES)}, or a URL that begins with one of "
        f"{', '.join(f'{each}://' for each in known if each not in _FILES)}"
    )
    path = tuple(key.split("."))
    raise InvalidDefinition([Problem(path, f"'{redacted(location)}'", expected, closest(scheme, known))])


def _module(scheme: str) -> Any:
    return import_module(f"loom_connectors.{_MODULES[scheme]}")
