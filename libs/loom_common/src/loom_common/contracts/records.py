"""Holds the records of a batch as something else until somebody reads them: as the JSON in which they were sent, or as
other records that they are made of.

A stage that has nothing to do for a batch passes its records on as they came: neither decoding nor encoding them is
then a cost of the stage. The JSON has one record a line, so that a stage can complete each record without decoding it:
a line break within a record is always escaped."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, get_args, overload

import orjson
from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from loom_common.contracts.plain_records import decoded_plain, read_plain
from loom_common.contracts.validation_errors import in_words
from loom_common.errors import UnreadableMessage

R = TypeVar("R")
Other = TypeVar("Other")
Read = TypeVar("Read", bound=Sequence[Any])

_BETWEEN = b",\n"
_LINE_END = b"}" + _BETWEEN
_DERIVED = attrgetter("derived")
_EXACTLY = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
"""Makes the encoder refuse what pydantic writes in another way."""


class RecordsMadeLater(Sequence[R]):
    """Represents a sequence of records of a kind that are made when one of them is read."""

    __slots__ = ("kind",)

    kind: type[Any]

    @abstractmethod
    def _read(self) -> tuple[R, ...]: ...

    @overload
    def __getitem__(self, at: int) -> R: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[R, ...]: ...

    def __getitem__(self, at: int | slice) -> R | tuple[R, ...]:
        return self._read()[at]

    def __iter__(self) -> Iterator[R]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == (other._read() if isinstance(other, RecordsMadeLater) else other)

    def __hash__(self) -> int:
        return hash(self._read())


class UnchangedRecords(RecordsMadeLater[R]):
    """Represents records of a kind that have the id, the input and the derivation of other records, and nothing else.
    They are encoded without being made."""

    __slots__ = ("_made", "make", "sources")

    def __init__(self, kind: type[R], sources: Sequence[Any], make: Callable[[Any], R]) -> None:
        self.kind = kind
        self.sources = sources
        self.make = make
        self._made: tuple[R, ...] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        return f"<{len(self)} {self.kind.__name__} to be made>"

    def _read(self) -> tuple[R, ...]:
        if self._made is None:
            self._made = tuple(map(self.make, self.sources))
        return self._made


class EncodedRecords(RecordsMadeLater[R]):
    """Represents a sequence of records that is decoded when one of them is read. Their number is known before.

    Reading them raises `UnreadableMessage` where they are not what `kind` describes, or not as many as lines."""

    __slots__ = ("_decoded", "_number", "json")

    def __init__(self, kind: type[R], json: bytes, number: int | None = None) -> None:
        """Take the JSON array of records of a `kind`, one a line. `number`: how many they are, where that is known."""
        self.kind = kind
        self.json = json
        self._number = _lines(json) if number is None else number
        self._decoded: tuple[R, ...] | None = None

    def completed(self, kind: type[Other], fields: bytes = b"") -> "EncodedRecords[Other]":
        """Return the same records as those of another kind. `fields` is the JSON of the fields that it needs besides:
        `"output":null`."""
        if not fields or not self._number:
            return EncodedRecords(kind, self.json, self._number)
        end = b"," + fields + b"}"
        lines = self.json[:-2].split(_LINE_END)  # takes half the time of `replace`
        return EncodedRecords(kind, (end + _BETWEEN).join(lines) + end + b"]", self._number)

    def __len__(self) -> int:
        return self._number

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        return f"<{self._number} encoded {self.kind.__name__}>"

    @property
    def _adapter(self) -> TypeAdapter[tuple[R, ...]]:
        return _several(self.kind)  # type: ignore[arg-type]  # mypy does not know that a class is hashable

    def fields_once(self) -> Sequence[Any]:
        """Return the records without keeping them decoded, for who reads their fields at once and lets them go. They
        have the fields of `kind`, and may have none of its methods, which would take a third of the time."""
        if self._decoded is not None:
            return self._decoded
        found = read_plain(self.json, self.kind)
        return self._counted(self._validated() if found is None else found)

    def _read(self) -> tuple[R, ...]:
        if self._decoded is None:
            found = decoded_plain(self.json, self.kind)
            self._decoded = self._counted(self._validated() if found is None else found)
        return self._decoded

    def _counted(self, found: Read) -> Read:
        if len(found) != self._number:
            raise UnreadableMessage(f"records: {len(found)} on {self._number} lines; expected one record a line")
        return found

    def _validated(self) -> tuple[R, ...]:
        try:
            read: tuple[R, ...] = self._adapter.validator.validate_json(self.json)
        except ValidationError as error:
            raise UnreadableMessage(in_words(error, within="records")) from error
        return read


def encoded(records: Sequence[Any], kind: type[Any], before: bytes = b"", after: bytes = b"") -> bytes:
    """Return records as a JSON array with one record a line, between the bytes `before` and `after` it. Raises
    `ValueError` where they hold what JSON cannot."""
    if isinstance(records, EncodedRecords) and records.kind is kind:
        return b"".join((before, records.json, after))
    plain = _plain(kind)  # type: ignore[arg-type]  # likewise
    template, others, alike, dumps, exactly = plain.template, plain.others, plain.values, orjson.dumps, _EXACTLY
    to_json: Callable[[Any], bytes] = _one(kind).serializer.to_json  # type: ignore[arg-type]  # likewise
    if isinstance(records, UnchangedRecords) and records.kind is kind:
        make, json_of_made = records.make, to_json
        records, others, alike = records.sources, _DERIVED, None

        def to_json(each: Any) -> bytes:
            return json_of_made(make(each))

    try:
        lines = [
            template % (dumps(each.id), dumps(each.input, None, exactly)) if others(each) == alike else to_json(each)
            for each in records
        ]
    except TypeError:  # such as a whole number beyond 64 bits, or half a surrogate pair
        lines = [to_json(each) for each in records]
    return b"".join((before, b"[", _BETWEEN.join(lines), b"]", after))


class _Plain(NamedTuple):
    """Describes the records of a kind that hold nothing besides their id and their input, as most do."""

    others: Callable[[Any], Any]
    """Returns the values of the other fields of a record."""
    values: Any
    """Holds what it returns of such a record."""
    template: bytes
    """Holds the JSON of such a record, with places for that of its id and of its input."""


@cache
def _plain(kind: Any) -> _Plain:
    """Return how the plain records of a kind are written. The encoder of id and input takes half of the time that
    pydantic takes, and gives the same bytes."""
    names = [each.name for each in fields(kind)]
    needed = [each for each in fields(kind)[2:] if each.default is MISSING and each.default_factory is MISSING]
    plain = kind("", {}, **dict.fromkeys(each.name for each in needed))
    begin, end = b'{"id":"","input":{}', _one(kind).serializer.to_json(plain)
    assert names[:2] == ["id", "input"] and end.startswith(begin)
    others = attrgetter(*names[2:])
    return _Plain(others, others(plain), b'{"id":%b,"input":%b' + end.removeprefix(begin))


def _lines(json: bytes) -> int:
    """Count the lines by what is left without their ends: `bytes.count` looks at each byte by itself, and takes seven
    times as long."""
    return len(json) - len(json.replace(b"\n", b"")) + 1 if json != b"[]" else 0


@cache
def _one(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _several(kind: Any) -> TypeAdapter[tuple[Any, ...]]:
    return TypeAdapter(tuple[kind, ...])


class OrEncoded:
    """Lets a field that is annotated as a sequence of records hold a tuple of them, or `RecordsMadeLater`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (kind,) = get_args(source)
        several = handler.generate_schema(tuple[kind, ...])  # type: ignore[valid-type]  # it is known at run time
        later_or_several = core_schema.no_info_wrap_validator_function(_kept_as_given, several)
        return core_schema.json_or_python_schema(
            several,
            later_or_several,
            serialization=core_schema.wrap_serializer_function_ser_schema(_as_tuple, schema=several),
        )


def _kept_as_given(given: Any, validate: core_schema.ValidatorFunctionWrapHandler) -> Any:
    return given if isinstance(given, RecordsMadeLater) else validate(given)


def _as_tuple(records: Sequence[Any], serialize: core_schema.SerializerFunctionWrapHandler) -> Any:
    return serialize(tuple(records))
