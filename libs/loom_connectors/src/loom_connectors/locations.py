"""What a location says: the scheme of a URL, and the ending of a name.

The scheme names the storage of a file, or a system that is no file; the ending, or the option `format`, names the
format of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from loom_common.domain.values.urls import redacted, scheme_of
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.options import closest
from loom_connectors.ports import ConnectorContext


@dataclass(frozen=True, slots=True)
class Location:
    """A location, taken apart. Nothing in it is a secret."""

    shown: str
    """As written in the pipeline file, without user and password."""
    scheme: str
    """Empty where it is a path."""
    ending: str
    """What follows the last point of a name, in lower case: `csv` of `data/reviews.csv`."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Location:
        """The whole URL may be a reference: `${DATABASE_URL}`. Raises `MissingCredential`."""
        written = location
        if "${" in location.partition("://")[0]:
            written = context.credentials.expand(location)
        scheme, separator, rest = written.partition("://")
        ending = scheme_of(rest if separator else written).partition("?")[0]
        return Location(redacted(location), scheme.lower().partition("+")[0] if separator else "", ending)

    def format_in(self, options: Mapping[str, Any], known: Collection[str], section: str) -> str:
        """The name of the file's format: the option `format`, or the ending. Raises `InvalidDefinition` where there is
        no such format."""
        named = options.get("format")
        if named is None and self.ending in known:
            return self.ending
        if isinstance(named, str) and named.lower() in known:
            return named.lower()
        if named is not None:
            path = (section, "options", "format")
            raise InvalidDefinition(
                [Problem(path, f"the unknown format {named!r}", _one_of(known), closest(str(named), sorted(known)))]
            )
        raise self._unknown(section, self._no_format(known), closest(self.ending, sorted(known)))

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

    def _unknown(self, section: str, expected: str, suggestion: str | None) -> InvalidDefinition:
        key = "source" if section == "extract" else "destination"
        return InvalidDefinition([Problem((section, key), f"'{self.shown}'", expected, suggestion)])


def _one_of(names: Collection[str]) -> str:
    return f"one of {', '.join(sorted(names))}"
