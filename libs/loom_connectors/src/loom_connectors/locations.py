"""Reads a location: the scheme of a URL, and the ending of a name.

The scheme names the storage of a file, or a system that is no file; the ending, or the option `format`, names the
format of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from loom_common.domain.values.urls import redacted, scheme_of
from loom_common.errors import ConfigurationError, InvalidDefinition, PluginUnusable, Problem
from loom_common.plugins.registry import is_reference
from loom_connectors.built_in import PYTHON
from loom_connectors.options import closest
from loom_connectors.ports.context import ConnectorContext

_NULL = "__HIVE_DEFAULT_PARTITION__"
COMPRESSED = ("gz", "zst", "bz2")
"""Endings of the names of compressed files."""


@dataclass(frozen=True, slots=True)
class Location:
    """Represents a location, taken apart. Nothing in it is a secret."""

    shown: str
    """The location as written in the pipeline file, without user and password."""
    scheme: str
    """Empty where it is a path; `module:name` where it names a plugin so."""
    ending: str
    """Says what follows the last point of a name, in lower case: `csv` of `data/reviews.csv`, and also of
    `reviews.csv.gz`."""
    compression: str | None = None
    """Says how the file is compressed by its name: `gz` of `reviews.csv.gz`."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Location:
        """The whole URL may be a reference: `${DATABASE_URL}`. Raises `MissingCredential`."""
        written = location
        if "${" in location.partition("://")[0]:
            written = context.credentials.expand(location)
        scheme, ending = taken_apart(written)
        return Location(redacted(location), scheme, ending, compression_in(_path_in(written))[0])

    def format_in(
        self, options: Mapping[str, Any], known: Collection[str], section: str, offered: Collection[str]
    ) -> str:
        """Return the name of the file's format: the option `format`, or the ending. Raises `InvalidDefinition` where
        there is no such format, with those that are `offered` instead."""
        named = options.get("format")
        if named is None and self.ending in known:
            return self.ending
        if isinstance(named, str) and is_reference(named):
            return named
        if isinstance(named, str) and named.lower() in known:
            return named.lower()
        if named is not None:
            path = (section, "options", "format")
            raise InvalidDefinition(
                [Problem(path, f"the unknown format {named!r}", _one_of(offered), closest(str(named), sorted(offered)))]
            )
        raise self._unknown(section, self._no_format(offered), closest(self.ending, sorted(offered)))

    def compressed(self, options: Mapping[str, Any], section: str, *, allowed: bool) -> str | None:
        """Return how the file is compressed: by the option `compression`, else by its name. Raises `InvalidDefinition`
        where its format is compressed in a way of its own (not `allowed`)."""
        if not allowed:
            if self.compression is None:
                return None
            remedy = f"a name without .{self.compression}: files of this format are compressed inside"
            raise self._unknown(section, remedy, None)
        named = options.get("compression", self.compression)
        return None if named == "none" else named

    def unknown_scheme(self, section: str, known: Collection[str]) -> InvalidDefinition:
        """Neither a storage nor a system has this scheme."""
        urls = sorted(each for each in known if each)
        expected = f"a path, or a URL that begins with one of {', '.join(f'{each}://' for each in urls)}"
        return self._unknown(section, expected, closest(self.scheme, urls))

    def _no_format(self, known: Collection[str]) -> str:
        endings = ", ".join(f".{each}" for each in sorted(known))
        return (
            f"a name that ends in one of {endings}, or the name of its format: `options: {{format: "
            f"{min(known)}}}`; what is no file is a URL, such as sqlite:///path.db?table=name"
        )

    def unusable(self, section: str, error: PluginUnusable) -> InvalidDefinition:
        """The plugin that serves the location cannot be used."""
        return InvalidDefinition([unusable_plugin((section, _key(section)), self.shown, error)])

    def _unknown(self, section: str, expected: str, suggestion: str | None) -> InvalidDefinition:
        return InvalidDefinition([Problem((section, _key(section)), f"'{self.shown}'", expected, suggestion)])


def taken_apart(written: str) -> tuple[str, str]:
    """Return the scheme of a location, or the `module:name` that takes its place, and the ending of its name."""
    scheme, separator, _ = written.partition("://")
    if not separator and written.startswith(f"{PYTHON}:"):
        return PYTHON, ""
    ending = scheme_of(compression_in(_path_in(written))[1])
    named = scheme if is_reference(scheme) else scheme.lower().partition("+")[0]
    return named if separator else "", ending


def compression_in(name: str) -> tuple[str | None, str]:
    """Return how a file is compressed by its name, and the name without that ending: `gz` and `a.csv` of
    `a.csv.gz`."""
    start, _, ending = name.rpartition(".")
    return (ending.lower(), start) if start and ending.lower() in COMPRESSED else (None, name)


def fields_in(path: str) -> dict[str, str | None]:
    """Return the fields that the folders of a path name, as Hive writes them, each as text: `day=2024-01-01/part.csv`.
    A character that no folder can have stands as `%2F`."""
    found: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if name and equals:
            found[unquote(name)] = None if value == _NULL else unquote(value)
    return found


def _path_in(written: str) -> str:
    """Return what a location names without its scheme and, where it is a URL of no file of this machine, its query."""
    scheme, separator, rest = written.partition("://")
    if not separator:
        return written
    return rest if scheme.lower() == "file" else rest.partition("?")[0]


def database_file(location: str, context: ConnectorContext) -> tuple[str, str | None]:
    """Return the path of a database that is a file, and the table where one is named, as `sqlite:///relative.db?table=t`
    or `sqlite:////absolute.db` say them. Raises `ConfigurationError`."""
    scheme, _, written = context.credentials.expand(location).partition("://")
    rest, _, query = written.partition("?")
    path = rest.removeprefix("/")
    if not path or (not rest.startswith("/") and scheme.lower() == "sqlite"):
        raise ConfigurationError(
            f"'{location}': expected {scheme}:///relative.db (three slashes) or {scheme}:////absolute.db (four)."
        )
    settings = dict(parse_qsl(query, keep_blank_values=True))
    table = settings.pop("table", None)
    for key in settings:
        hint = " Did you mean 'table'?" if closest(key, ["table"]) else " It knows `table` alone."
        raise ConfigurationError(f"'{location}' has the unknown setting '{key}'.{hint}")
    return unquote(path), table or None


def unusable_plugin(path: tuple[str, ...], named: str, error: PluginUnusable) -> Problem:
    """Return the mistake of naming a plugin that cannot be used."""
    return Problem(path, f"'{named}'", f"a plugin that can be used ({str(error).rstrip('.')})")


def _key(section: str) -> str:
    return "source" if section == "extract" else "destination"


def _one_of(names: Collection[str]) -> str:
    return f"one of {', '.join(sorted(names))}"
