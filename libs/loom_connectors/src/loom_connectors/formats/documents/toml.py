"""Implements TOML files as a source: the tables of one array."""

import datetime as dt
import tomllib
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import Field

from loom_common.domain.checks.repairs import MEND
from loom_common.domain.json_values.exact_json import UnfitJson, exact_float
from loom_common.errors import ConfigurationError, RecordError, SourceError
from loom_connectors.files.format import FileSourceOptions, OpenFile
from loom_connectors.formats.documents.whole_file import WholeFileReader
from loom_connectors.options import options_of
from loom_connectors.ports.source import ReadRecord


class TomlOptions(FileSourceOptions):
    """Says which tables of a TOML file are records."""

    records: str | None = Field(
        None, description="The name of the array of tables: `reviews` for `[[reviews]]`. Default: the only one."
    )


class TomlFormat:
    """Implements TOML."""

    source_options = TomlOptions

    def reader(self, options: Mapping[str, Any]) -> WholeFileReader:
        return WholeFileReader(TomlParser(options_of(TomlOptions, options, "extract").records))

    def writer(self, options: Mapping[str, Any], name: str) -> NoReturn:
        raise ConfigurationError("load.destination: TOML files can only be read. Write JSON, JSON Lines or CSV.")


class _Written(str):
    """Represents a number with a fraction, as it is written."""

    __slots__ = ()


class TomlParser:
    """Makes records of TOML text."""

    limit = 16 * 1024 * 1024

    def __init__(self, records: str | None) -> None:
        self._records = records

    def records(self, content: bytes, file: OpenFile) -> list[ReadRecord]:
        try:
            document = tomllib.loads(content.decode("utf-8-sig"), parse_float=_Written)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{file.shown} cannot be read as TOML: {error}") from error
        arrays = [name for name, value in document.items() if isinstance(value, list) and _are_tables(value)]
        name = self._records or (arrays[0] if len(arrays) == 1 else None)
        if name is None or name not in arrays:
            raise SourceError(
                f"{file.shown} has {_listed(arrays)}; name one: `options: {{records: name}}`. An array of tables is "
                "written [[name]]."
            )
        return [self._record(table, number, file) for number, table in enumerate(document[name], 1)]

    def _record(self, table: Mapping[str, Any], number: int, file: OpenFile) -> ReadRecord:
        position = f"{file.prefix}item {number}"
        data: dict[str, Any] = {}
        unread: dict[str, UnfitJson] = {}
        for name, value in table.items():
            try:
                data[name] = _value(value)
            except UnfitJson as unfit:
                data[name], unread[name] = _as_written(value), unfit
        if not unread:
            return ReadRecord(position, data)
        first = next(iter(unread.values()))
        details = {"item": number, MEND: [*unread]}
        return ReadRecord(
            position, data, RecordError(f"{file.shown} item {number}: {first}", code=first.code, details=details)
        )


def _are_tables(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(each, dict) for each in values)


def _listed(arrays: list[str]) -> str:
    return f"several arrays of tables ({', '.join(arrays)})" if arrays else "no array of tables"


def _value(value: Any) -> Any:
    match value:
        case _Written():
            return _number(str(value))
        case dict():
            return {name: _value(each) for name, each in value.items()}
        case list():
            return [_value(each) for each in value]
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
    return value


def _as_written(value: Any) -> Any:
    """Return a value for a record that is kept back: its numbers with a fraction are the text that they are."""
    match value:
        case _Written():
            return str(value)
        case dict():
            return {name: _as_written(each) for name, each in value.items()}
        case list():
            return [_as_written(each) for each in value]
    return _value(value)


def _number(text: str) -> float | str:
    plain = text.replace("_", "")
    if plain.lstrip("+-") in ("inf", "nan"):
        return "NaN" if "nan" in plain else "-Infinity" if plain[0] == "-" else "Infinity"
    return exact_float(plain)
