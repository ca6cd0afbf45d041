"""Lists the storages, formats, databases, brokers and APIs that Loom reads and writes here, with what each needs and
guarantees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel

from loom_common.domain.json_values.shown import Shown
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import names
from loom_connectors.built_in import (
    APIS,
    BROKERS,
    DESTINATIONS,
    EXTRAS,
    FORMATS,
    INBOX,
    NO_TRIAL,
    PACKAGES,
    PYTHON,
    READ_ONLY,
    SOURCES,
    STORAGES,
)
from loom_connectors.ports.destination import Guarantee


class Family(StrEnum):
    """Lists what a connector may be."""

    STORAGE = "storage"
    FORMAT = "format"
    DATABASE = "database"
    BROKER = "broker"
    FUNCTION = "function"
    API = "api"
    INBOX = "inbox"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Option(Shown):
    """Describes one key of `extract.options` or `load.options`."""

    key: str
    default: Any
    meaning: str


@dataclass(frozen=True, slots=True)
class Connector(Shown):
    """Describes what one connector reads or writes, what it needs, and what it guarantees."""

    family: Family
    names: Sequence[str]
    """Holds schemes of locations, or endings of names."""
    is_source: bool
    is_destination: bool
    guarantee: str | None
    """Says what becomes of a batch that is loaded twice; None where it is no destination, or a plugin that says it
    itself."""
    extra: str | None
    """Names the extra that brings what it needs."""
    is_installed: bool
    source_options: Sequence[Option] | None = None
    destination_options: Sequence[Option] | None = None
    """Are None where it has none of its own, or where its package is not installed."""


_OPTIONS: Mapping[str, tuple[str, str, str | None]] = {
    Family.DATABASE: ("loom_connectors.sql.parameters", "SqlSourceOptions", "SqlDestinationOptions"),
    "bigquery": ("loom_connectors.bigquery.options", "BigQuerySourceOptions", "BigQueryDestinationOptions"),
    "snowflake": ("loom_connectors.snowflake.options", "SnowflakeSourceOptions", "SnowflakeDestinationOptions"),
    Family.BROKER: ("loom_connectors.rabbitmq.options", "QueueOptions", "ExchangeOptions"),
    Family.INBOX: ("loom_connectors.inbox.options", "InboxOptions", None),
    "kafka": ("loom_connectors.kafka.options", "KafkaOptions", None),
    "redis": ("loom_connectors.redis_streams.options", "RedisStreamOptions", None),
    Family.API: ("loom_connectors.rest.http.options", "RestSourceOptions", "RestDestinationOptions"),
}
"""Says by family, or by the name of a connector that differs from its family, the module of the options of a source and
of a destination, and what they are called in it."""


def connectors() -> list[Connector]:
    """Return every connector, with the options of those whose packages are installed."""
    systems = {name: target.partition(":")[0] for name, target in {**SOURCES, **DESTINATIONS}.items()}
    return [
        *_of(Family.STORAGE, STORAGES),
        *_of(Family.FORMAT, FORMATS),
        *_of(Family.DATABASE, {name: target for name, target in systems.items() if name not in NO_TRIAL}),
        *_of(Family.BROKER, {name: target for name, target in systems.items() if name in BROKERS}),
        *_of(Family.FUNCTION, {PYTHON: systems[PYTHON]}),
        *_of(Family.API, {name: target for name, target in systems.items() if name in APIS}),
        *_of(Family.INBOX, {INBOX: systems[INBOX]}),
        *_plugins(),
    ]


def _of(family: Family, listed: Mapping[str, str]) -> Iterator[Connector]:
    targets: dict[str, list[str]] = {}
    for name, target in listed.items():
        key = f"{target}#{name}" if PACKAGES.get(name) == "obstore" else target  # each store has its own parameters
        targets.setdefault(key, []).append(name or "a path")
    for target, group in targets.items():
        package = PACKAGES.get(group[0])
        installed = package is None or find_spec(package) is not None
        source, destination = _options(family, target.partition("#")[0], group[0]) if installed else (None, None)
        yield Connector(
            family,
            group,
            is_source=True,
            is_destination=not READ_ONLY.intersection(group),
            guarantee=_guarantee(family, group),
            extra=None if package is None else EXTRAS[package],
            is_installed=installed,
            source_options=source,
            destination_options=destination,
        )


def _guarantee(family: Family, group: Sequence[str]) -> str | None:
    if READ_ONLY.intersection(group):
        return None
    of_systems = {
        Family.DATABASE: Guarantee.LEDGER,
        Family.BROKER: Guarantee.MESSAGE_ID,
        Family.FUNCTION: Guarantee.AT_LEAST_ONCE,
        Family.API: Guarantee.IDEMPOTENCY_KEY,
    }
    return of_systems.get(family, Guarantee.OBJECT).value


def _options(family: Family, target: str, name: str) -> tuple[list[Option] | None, list[Option] | None]:
    """Return the options of a source and of a destination."""
    if (named := _OPTIONS.get(name) or _OPTIONS.get(family)) is not None:
        module = import_module(named[0])
        written = None if named[2] is None else getattr(module, named[2])
        return _listed(getattr(module, named[1])), _listed(written)
    if family is Family.FUNCTION:
        return None, None
    if PACKAGES.get(name) == "obstore":
        from loom_connectors.storage.objects.address import SERVICES

        given = [Option(key, None, f"A parameter of the location: `?{key}=...`.") for key in SERVICES[name].keys]
        return given, given
    place, _, attribute = target.partition(":")
    found = getattr(import_module(place), attribute)
    return _listed(getattr(found, "source_options", None)), _listed(getattr(found, "destination_options", None))


def _listed(model: type[BaseModel] | None) -> list[Option] | None:
    if model is None:
        return None
    return [
        Option(name, field.get_default(call_default_factory=True), field.description or "")
        for name, field in model.model_fields.items()
    ]


def _plugins() -> Iterator[Connector]:
    """Yield what installed packages add, as far as their metadata tell it."""
    added: dict[str, set[Kind]] = {}
    for kind in (Kind.SOURCE, Kind.DESTINATION, Kind.STORAGE, Kind.FORMAT):
        for name in names(kind):
            added.setdefault(name, set()).add(kind)
    for name, kinds in sorted(added.items()):
        either = bool(kinds & {Kind.STORAGE, Kind.FORMAT})
        yield Connector(
            Family.PLUGIN,
            [name],
            is_source=either or Kind.SOURCE in kinds,
            is_destination=either or Kind.DESTINATION in kinds,
            guarantee=None,
            extra=None,
            is_installed=True,
        )
