"""Implements YAML files as a source: a list of mappings, or several documents that are mappings.

A value is taken as YAML 1.2 takes it, and exactly: a number that would change keeps back its record. What YAML has
beyond JSON is text as it is written (dates) or bytes."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from loom_common.domain.checks.repairs import RAW
from loom_common.domain.json_values.exact_json import DEEPEST, UnfitJson, exact_float
from loom_common.errors import ConfigurationError, RecordError, SourceError
from loom_common.text import paired, shown
from loom_connectors.files.format import FileSourceOptions, OpenFile
from loom_connectors.formats.documents.whole_file import WholeFileReader
from loom_connectors.formats.json_records import Unfit
from loom_connectors.options import options_of
from loom_connectors.ports.source import ReadRecord
from loom_connectors.values import as_object

_MOST_NODES = 1_000_000
"""The most values of a file, with those that aliases repeat."""
_TAG = "tag:yaml.org,2002:"
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLEANS = MappingProxyType({"true": True, "false": False})
_KEPT = 64 * 1024
"""The most characters that are kept of an item that is no record."""


class YamlOptions(FileSourceOptions):
    """Has nothing of its own to set."""


class YamlFormat:
    """Implements YAML."""

    source_options = YamlOptions

    def reader(self, options: Mapping[str, Any]) -> WholeFileReader:
        options_of(YamlOptions, options, "extract")
        return WholeFileReader(YamlParser())

    def writer(self, options: Mapping[str, Any], name: str) -> NoReturn:
        raise ConfigurationError("load.destination: YAML files can only be read. Write JSON, JSON Lines or CSV.")


class YamlParser:
    """Makes records of YAML text."""

    limit = 4 * 1024 * 1024

    def records(self, content: bytes, file: OpenFile) -> list[ReadRecord]:
        try:
            text = content.decode("utf-8-sig")
            documents = [node for node in YAML(typ="safe", pure=True).compose_all(text) if node is not None]
        except (YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"{file.shown}{_unreadable(error)}") from error
        listed = len(documents) == 1 and isinstance(documents[0], SequenceNode)
        nodes: Sequence[Node] = documents[0].value if listed else documents
        self._left = _MOST_NODES
        return [self._record(node, text, number, file) for number, node in enumerate(nodes, 1)]

    def _record(self, node: Node, text: str, number: int, file: OpenFile) -> ReadRecord:
        line = node.start_mark.line + 1
        position = f"{file.prefix}item {number}"
        try:
            if not isinstance(node, MappingNode):
                raise Unfit("bad_yaml", "expected a mapping of names to values.")
            return ReadRecord(position, self._mapping(node, 1))
        except (Unfit, UnfitJson) as unfit:
            why = RecordError(
                f"{file.shown} line {line}, item {number}: {unfit}", code=unfit.code, details={"line": line}
            )
            written = text[node.start_mark.index : node.end_mark.index].rstrip()
            return ReadRecord(position, {RAW: written[:_KEPT]}, why)

    def _value(self, node: Node, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise SourceError(f"The YAML file has more than {_MOST_NODES:,} values, with those that aliases repeat.")
        if depth > DEEPEST:
            raise Unfit("nested_too_deeply", f"more than {DEEPEST} levels of nesting. Flatten the record.")
        if str(node.tag) not in (f"{_TAG}map", f"{_TAG}seq") and not isinstance(node, ScalarNode):
            raise _foreign(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, SequenceNode):
            return [self._value(each, depth + 1) for each in node.value]
        assert isinstance(node, ScalarNode)  # the library has no other kind
        return _scalar(node)

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in self._members(node):
            if key in found:
                raise Unfit("duplicate_name", f"two members named '{key}'.")
            found[key] = self._value(value, depth + 1)
        return found

    def _members(self, node: MappingNode) -> Iterator[tuple[str, Node]]:
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise Unfit("bad_yaml", "a name that is no text.")
            if key.tag == f"{_TAG}merge":
                raise Unfit("bad_yaml", "a merge key (`<<`), which YAML 1.2 does not have. Write the members out.")
            yield paired(key.value), value


def _scalar(node: ScalarNode) -> Any:
    kind, text = str(node.tag).removeprefix(_TAG), paired(node.value)
    match kind:
        case "null" if text in _NULLS:
            return None
        case "bool" if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        case "int" | "float":
            try:
                return _integer(text) if kind == "int" else _number(text)
            except UnfitJson:
                raise
            except ValueError:  # a tag may stand before any text, and Python reads no integer of 4,300 digits
                raise Unfit("bad_yaml", f"{shown(text, 40)}, which cannot be read as {node.tag}.") from None
        case "null" | "bool":
            raise Unfit("bad_yaml", f"{shown(text, 40)}, which is no {kind} of YAML 1.2.")
        case "binary":
            try:
                return as_object(base64.b64decode("".join(text.split()), validate=True))
            except (binascii.Error, ValueError):
                raise Unfit("bad_yaml", "bytes that are not base64.") from None
        case "str" | "timestamp":
            return text
    raise _foreign(node)


def _foreign(node: Node) -> Unfit:
    return Unfit("bad_yaml", f"a value of the type {node.tag}, which JSON does not have.")


def _integer(text: str) -> int:
    plain = text.replace("_", "")
    sign, digits = (-1, plain[1:]) if plain[:1] == "-" else (1, plain.removeprefix("+"))
    if digits[:2] in ("0x", "0o", "0b"):
        return sign * int(digits, 0)
    if ":" in digits:
        raise Unfit("bad_yaml", f"{text}, which is a number to base 60 for some readers. Quote it.")
    return sign * int(digits, 10)


def _number(text: str) -> float | str:
    plain = text.replace("_", "").lower()
    if plain.lstrip("+-") in (".inf", ".nan"):
        return "NaN" if "nan" in plain else "-Infinity" if plain[0] == "-" else "Infinity"
    return exact_float(plain)


def _unreadable(error: Exception) -> str:
    """Say after a file's name where and why its text is no YAML."""
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    if isinstance(error, MarkedYAMLError) and mark is not None:
        context = f"{error.context}, " if error.context else ""
        return f" line {mark.line + 1}, column {mark.column + 1} cannot be read as YAML: {context}{error.problem}."
    return f" cannot be read as YAML: {' '.join(str(error).split())[:300]}"
