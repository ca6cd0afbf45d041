"""Defines contracts: what happens to records that do not fit the stored version of their schema."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.quality.bounds import has_value
from loom_common.domain.schema.columns import Columns, takes
from loom_common.domain.schema.drift import evolved
from loom_common.domain.schema.inference import column_of, observed
from loom_common.domain.section import Mistake, Section, mistake, said
from loom_common.domain.values.per_record import per_record
from loom_common.errors import CheckFailed, PermanentError, RecordError
from loom_common.text import shown

SCHEMA_CONTRACT = "schema_contract"
"""The code of a record that a contract keeps back."""
_SHOWN = 100

Mode = Literal["evolve", "freeze", "discard_row", "discard_value"]
TablesMode = Literal["evolve", "freeze"]


class SchemaConfig(Section):
    """Says what happens to records that do not fit the stored version of their schema. `manual`, `auto` and `warn` are
    short forms: `manual` freezes columns and types, `auto` lets all evolve, and `warn` reports what differs and stores
    nothing. `freeze` freezes all three."""

    tables: TablesMode = Field(
        "evolve",
        description="What is not there yet: in `load`, the table or the file of the destination; elsewhere, a stored "
        "version of the schema. `evolve` makes it; `freeze` refuses the run before it costs anything.",
    )
    columns: Mode = Field(
        "evolve",
        description="A column that the version lacks. `evolve` adds it to the next version; `freeze` fails the run; "
        "`discard_row` quarantines the record; `discard_value` leaves the column out.",
    )
    types: Mode = Field(
        "evolve",
        description="A value that the column's type does not take. `evolve` widens the type in the next version; "
        "`freeze` and `discard_row` as for `columns`; `discard_value` puts null in its place.",
    )
    store: bool = Field(True, description="Whether a run that succeeds stores what evolved as the next version.")

    def next_version(self, stored: Columns | None, found: Columns) -> Columns | None:
        """Return what a run that has ended well stores; None where that is nothing. Where no part evolves, only the
        first version is stored."""
        if not self.store or (stored is not None and "evolve" not in (self.columns, self.types)):
            return None
        return found if stored is None else evolved(stored, found)

    @classmethod
    def long_form(cls, written: Any) -> Any:
        match written:
            case "manual":
                return {"columns": "freeze", "types": "freeze"}
            case "auto":
                return {}
            case "warn":
                return {"store": False}
            case "freeze":
                return {"tables": "freeze", "columns": "freeze", "types": "freeze"}
            case str() if written in ("evolve", "discard_row", "discard_value"):
                return {"columns": written, "types": written}
            case _:
                return written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand that what is kept from evolving leaves something to store."""
        frozen = all(said(written, key) not in (None, "evolve") for key in ("columns", "types"))
        if frozen and said(written, "store") is True:
            yield mistake(("store",), "strange_for_type", "no `store: true` where neither part evolves", True)


@per_record
class Shaped:
    """Says what a contract made of records."""

    values: Sequence[Mapping[str, Any]]
    """The records as they go on, in order; of one with an error, as it came."""
    errors: Mapping[int, RecordError]
    """The errors that keep records back, by their positions."""
    columns: Columns | None
    """The schema of the records that go on; None where there are none."""


def shaped(records: Sequence[Mapping[str, Any]], contract: SchemaConfig, stored: Columns | None, place: str) -> Shaped:
    """Hold records to a contract. Without a stored version there is nothing to hold them to. `place` is where the
    contract is written.

    Raises `PermanentError` for a record that does not fit where the contract freezes."""
    if stored is None:
        return Shaped(records, {}, observed(None, records))
    values: list[Mapping[str, Any]] = []
    errors: dict[int, RecordError] = {}
    for position, record in enumerate(records):
        misfits = list(_misfits(record, stored))
        kept = record
        for name, mode, words in ((name, getattr(contract, part), words) for name, part, words in misfits):
            if mode == "freeze":
                raise PermanentError(
                    f"A record does not fit its schema: {words} (`{place}.schema` freezes it). See `loom schema "
                    "diff`; `loom schema apply` stores another version."
                )
            if mode == "discard_row":
                errors.setdefault(position, _kept_back(name, record, words, place))
            elif mode == "discard_value":
                kept = _without(kept, name, is_new=name not in stored)
        values.append(record if position in errors else kept)
    going = [value for position, value in enumerate(values) if position not in errors]
    return Shaped(values, errors, observed(None, going))


def _misfits(record: Mapping[str, Any], stored: Columns) -> Iterable[tuple[str, str, str]]:
    """Yield each column that does not fit, the part of the contract that it concerns, and why."""
    for name, value in record.items():
        column = stored.get(name)
        if column is None:
            yield name, "columns", f"the column '{shown(name, _SHOWN)}' is new"
        elif has_value(value) and not takes(column, column_of(value)):
            yield name, "types", f"'{name}' is {column.kind}, and the value is {column_of(value).kind}"


def _kept_back(name: str, record: Mapping[str, Any], words: str, place: str) -> CheckFailed:
    value = shown(repr(record[name]), _SHOWN)
    details = {"contract": f"{place}.schema", "field": shown(name, _SHOWN), "value": value, "reason": words}
    return CheckFailed(
        f"The record does not fit the schema of `{place}.schema`: {words}", code=SCHEMA_CONTRACT, details=details
    )


def _without(record: Mapping[str, Any], name: str, *, is_new: bool) -> dict[str, Any]:
    if is_new:
        return {key: value for key, value in record.items() if key != name}
    return {key: None if key == name else value for key, value in record.items()}
