"""Defines what a schema says of a column, and joins what two samples of records say of it.

The join is commutative and idempotent, so that parts of a run may be joined in any order, and each of them twice."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ColumnType = Literal["boolean", "integer", "number", "string", "object", "array", "any"]
TextFormat = Literal["integer", "number", "boolean", "date", "datetime", "uuid", "email", "url"]

_WIDER: Mapping[TextFormat, TextFormat] = {"integer": "number", "date": "datetime"}
"""Holds the format that also takes the texts of another."""


class Column(BaseModel):
    """Describes the values of a column."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: ColumnType = Field(description="`any` where its values are of several types.")
    format: TextFormat | None = Field(None, description="What all texts of the column read as, as in a CSV file.")
    nullable: bool = Field(False, description="Whether records lack the column, or have null or an empty text in it.")

    @model_validator(mode="after")
    def _only_text_has_a_format(self) -> Self:
        if self.format is not None and self.type != "string":
            raise ValueError("only a column of the type string has a format")
        return self

    @property
    def kind(self) -> "Column":
        """Return the column without whether it may be null."""
        return Column(type=self.type, format=self.format)

    def __str__(self) -> str:
        name = self.type if self.format is None else f"{self.type} ({self.format})"
        return f"{name}, may be null" if self.nullable else name


Columns = Mapping[str, Column]
"""A schema: its columns by name, in their order."""


def joined(one: Column, other: Column) -> Column:
    """Return the narrowest column that takes the values of both."""
    nullable = one.nullable or other.nullable
    if one.type != other.type:
        numbers = {one.type, other.type} == {"integer", "number"}
        return Column(type="number" if numbers else "any", nullable=nullable)
    return Column(type=one.type, format=_common(one.format, other.format), nullable=nullable)


def _common(one: TextFormat | None, other: TextFormat | None) -> TextFormat | None:
    if one == other:
        return one
    if one is not None and _WIDER.get(one) == other:
        return other
    return one if other is not None and _WIDER.get(other) == one else None


def merged(one: Columns, other: Columns) -> dict[str, Column]:
    """Return the columns of two samples together. A column that only one of them has may be null."""
    found: dict[str, Column] = {}
    for name in dict.fromkeys((*one, *other)):
        here, there = one.get(name), other.get(name)
        if here is not None and there is not None:
            found[name] = joined(here, there)
        else:
            only = here or there
            assert only is not None
            found[name] = only.model_copy(update={"nullable": True})
    return found


def takes(column: Column, value: Column) -> bool:
    """Tell whether a column takes values of another kind as they are."""
    return column.type == "any" or joined(column, value).kind == column.kind
