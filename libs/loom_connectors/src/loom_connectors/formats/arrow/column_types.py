"""Names the types of columns: those that a person writes, those of a JSON Schema, and those that values need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from loom_connectors.values import bytes_in

_NAMES: Mapping[str, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "local timestamp": pa.timestamp("us"),
    "bytes": pa.binary(),
    "json": pa.json_(pa.string()),
    **{f"int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
    "float32": pa.float32(),
    "nanosecond timestamp": pa.timestamp("ns", tz="UTC"),
}
JSON = _NAMES["json"]
_DECIMAL = re.compile(r"decimal\((\d{1,2}), ?(\d{1,2})\)")
_LIST = re.compile(r"list of (.+)")
_FORMATS = {"date": "date", "date-time": "timestamp", "time": "time"}
_DEEPEST = 50


def type_named(name: str) -> Any:
    """Return the type that a person names: `integer`, `decimal(12,2)`, `list of text`. Raises `ValueError`."""
    words = " ".join(name.lower().split())
    if words in _NAMES:
        return _NAMES[words]
    if found := _LIST.fullmatch(words):
        return pa.list_(type_named(found[1]))
    if (found := _DECIMAL.fullmatch(words)) and 1 <= int(found[1]) <= 76 and int(found[2]) <= int(found[1]):
        digits, scale = int(found[1]), int(found[2])
        return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    raise ValueError(f"one of {', '.join(_NAMES)}, decimal(12,2), list of text; not {name!r}")


def type_of_schema(schema: Any) -> Any:
    """Return the type that a JSON Schema declares; None where it declares none of these, or several."""
    if not isinstance(schema, Mapping):
        return None
    declared = schema.get("type")
    names = [declared] if isinstance(declared, str) else [each for each in declared or () if each != "null"]
    match names:
        case ["string"]:
            return _NAMES[_FORMATS.get(str(schema.get("format")), "text")]
        case ["integer" | "number" | "boolean" as name]:
            return _NAMES[name]
        case ["array"] if schema.get("format") == "vector":
            return pa.list_(pa.float32())
        case ["array"]:
            element = type_of_schema(schema.get("items"))
            return JSON if element is None or element == JSON else pa.list_(element)
        case ["object"]:
            members = {name: type_of_schema(each) for name, each in (schema.get("properties") or {}).items()}
            closed = schema.get("additionalProperties") is False and set(schema.get("required") or ()) == set(members)
            return pa.struct(list(members.items())) if closed and members and _are_plain(members.values()) else JSON
    return None


def _are_plain(types: Iterable[Any]) -> bool:
    return all(each is not None and each != JSON for each in types)


class Seen:
    """Keeps what kinds of values a column has, so that a type can be found that holds each of them exactly."""

    __slots__ = ("elements", "exact", "kinds", "members")

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.exact = True
        """Tells whether every integer is a 64-bit floating-point number as well."""
        self.elements: Seen | None = None
        self.members: dict[str, Seen] | None = None
        """The members of its objects, as long as all have the same."""

    def add(self, value: Any, depth: int = 0) -> None:
        """Add one more value to what the column has held so far."""
        if value is None or "mixed" in self.kinds:
            return
        match value:
            case bool():
                self.kinds.add("boolean")
            case int():
                self.kinds.add("integer" if -(2**63) <= value < 2**63 else "mixed")
                self.exact = self.exact and abs(value) <= 2**53
            case float():
                self.kinds.add("number")
            case str():
                self.kinds.add("text")
            case _ if depth > _DEEPEST:
                self.kinds = {"mixed"}
            case list():
                self.kinds.add("list")
                self.elements = self.elements or Seen()
                for each in value:
                    self.elements.add(each, depth + 1)
            case _ if bytes_in(value) is not None:
                self.kinds.add("bytes")
            case _:
                self._add_object(value, depth)

    def _add_object(self, value: dict[str, Any], depth: int) -> None:
        self.kinds.add("object")
        if self.members is None:
            self.members = {name: Seen() for name in value}
        if not value or self.members.keys() != value.keys():
            self.kinds = {"mixed"}
            return
        for name, each in value.items():
            self.members[name].add(each, depth + 1)

    def merge(self, other: Seen) -> None:
        """Add what another has seen after this."""
        self.kinds |= other.kinds
        self.exact = self.exact and other.exact
        if other.elements is not None:
            self.elements = self.elements or Seen()
            self.elements.merge(other.elements)
        if other.members is not None and self.members is None:
            self.members = {name: Seen() for name in other.members}
        if other.members is not None and self.members is not None:
            if self.members.keys() != other.members.keys():
                self.kinds = {"mixed"}
                return
            for name, each in other.members.items():
                self.members[name].merge(each)

    def type(self) -> Any:
        """Return the type: JSON where no other holds each value exactly."""
        kinds = self.kinds
        if not kinds or kinds == {"text"}:
            return _NAMES["text"]
        if kinds == {"integer", "number"} and self.exact:
            return _NAMES["number"]
        if len(kinds) > 1:
            return JSON
        match next(iter(kinds)):
            case "boolean" | "integer" | "number" | "bytes" as name:
                return _NAMES[name]
            case "list" if self.elements is not None:
                element = self.elements.type()
                return JSON if element == JSON else pa.list_(element)
            case "object" if self.members:
                members = {name: each.type() for name, each in self.members.items()}
                return pa.struct(list(members.items())) if _are_plain(members.values()) else JSON
        return JSON

    def written(self) -> dict[str, Any]:
        """Return what was found as JSON."""
        made: dict[str, Any] = {"kinds": sorted(self.kinds)}
        if not self.exact:
            made["exact"] = False
        if self.elements is not None:
            made["elements"] = self.elements.written()
        if self.members is not None:
            made["members"] = {name: each.written() for name, each in self.members.items()}
        return made

    @staticmethod
    def read(written: Mapping[str, Any]) -> Seen:
        """Read what `written` wrote."""
        made = Seen()
        made.kinds = set(written["kinds"])
        made.exact = written.get("exact", True)
        if "elements" in written:
            made.elements = Seen.read(written["elements"])
        if "members" in written:
            made.members = {name: Seen.read(each) for name, each in written["members"].items()}
        return made
