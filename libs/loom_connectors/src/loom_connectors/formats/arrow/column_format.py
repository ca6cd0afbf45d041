"""Implements what the formats of typed columns share: their options, and what reads and writes their files."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from loom_connectors.files.format import FileOptions, FileSourceOptions
from loom_connectors.formats.arrow.column_file import ColumnFile
from loom_connectors.formats.arrow.column_reader import ColumnReader
from loom_connectors.formats.arrow.column_types import type_named
from loom_connectors.formats.arrow.column_writer import ColumnWriter
from loom_connectors.formats.arrow.memory import give_memory_back
from loom_connectors.options import options_of


class ColumnSourceOptions(FileSourceOptions):
    """Says what is read of a file of typed columns."""

    columns: list[str] | None = Field(None, min_length=1, description="The columns that are read. Default: all.")


class ColumnDestinationOptions(FileOptions):
    """Says how a file of typed columns is written."""

    types: dict[str, str] = Field(
        default_factory=dict,
        description="Types of columns, before those of the output: `{price: 'decimal(12,2)', at: timestamp}`.",
    )
    codec: str = Field("zstd", description="How its data are compressed.")
    group_size: int = Field(4 * 1024 * 1024, ge=1024, description="Bytes of a group of rows, unpacked.")

    @field_validator("types")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for each in value.values():
            type_named(each)
        return value

    @property
    def named_types(self) -> dict[str, Any]:
        """Return the types by the names of their columns."""
        return {name: type_named(each) for name, each in self.types.items()}


class ColumnFormat:
    """Reads and writes files of typed columns, with the options that a pipeline gives."""

    source_options = ColumnSourceOptions
    destination_options: ClassVar[type[ColumnDestinationOptions]]
    file: ClassVar[Callable[[str], ColumnFile]]
    """Makes files of the kind, whose data are compressed with the codec that is named."""

    def reader(self, options: Mapping[str, Any]) -> ColumnReader:
        given = options_of(ColumnSourceOptions, options, "extract")
        give_memory_back()
        return ColumnReader(type(self).file("none"), given.columns)

    def writer(self, options: Mapping[str, Any], name: str) -> ColumnWriter:
        given = options_of(self.destination_options, options, "load")
        give_memory_back()
        return ColumnWriter(type(self).file(given.codec), given.named_types, given.group_size)
