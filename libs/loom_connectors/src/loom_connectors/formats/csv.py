"""Implements CSV files as a `Format`.

Values stay text: an empty field is the empty string, and nothing is taken for a number or a date."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from loom_connectors.files.format import FileSourceOptions, TextOptions
from loom_connectors.formats.csv_parts import CsvWriter
from loom_connectors.formats.csv_reading.broken import Dialect
from loom_connectors.formats.csv_reading.header import twice
from loom_connectors.formats.csv_reading.records import CsvReader
from loom_connectors.options import options_of


class CsvSourceOptions(TextOptions, FileSourceOptions):
    """Says how a CSV file is written."""

    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Default: the likeliest of `,` `;` tab `|` in the first line."
    )
    quotechar: str | None = Field('"', min_length=1, max_length=1, description="null: quotes mean nothing.")
    header: bool = Field(True, description="Whether the first record names the columns.")
    columns: list[str] | None = Field(None, min_length=1, description="Names of the columns, in place of the header's.")
    escapechar: str | None = Field(
        None, min_length=1, max_length=1, description="Takes its meaning from the character after it, e.g. `\\`."
    )
    skip_initial_space: bool = Field(False, description="Whether spaces after a delimiter are left out.")
    null_values: list[str] = Field(
        [],
        description="Fields that are null, quoted or not, e.g. `['', NA]`. Default: none: empty fields are empty text.",
    )
    max_field: int = Field(131_072, ge=1, description="The longest field, in characters.")

    @field_validator("null_values", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.header and self.columns is None:
            raise ValueError("`columns`, a list of names, beside `header: false`")
        special = [each for each in (self.delimiter, self.quotechar, self.escapechar) if each is not None]
        if len(set(special)) < len(special) or {"\r", "\n"} & set(special):
            raise ValueError("different characters, and no line end, for `delimiter`, `quotechar` and `escapechar`")
        if self.columns is not None and (again := twice(self.columns)):
            raise ValueError(f"a different name for each of `columns`; '{again}' stands twice")
        return self


class CsvDestinationOptions(TextOptions):
    """Says how a CSV file is to be written: line feeds, quotes where needed. Rows that are added to a file are written
    as it is."""

    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Default: that of the file that is added to; else a comma, a tab in files named `.tsv`.",
    )
    encoding: str | None = Field(None, description="Default: that of the file that is added to, else utf-8.")


class CsvFormat:
    """Implements CSV; `tsv` is the same with a tab for the delimiter of a new file."""

    source_options = CsvSourceOptions
    destination_options = CsvDestinationOptions

    def reader(self, options: Mapping[str, Any]) -> CsvReader:
        given = options_of(CsvSourceOptions, options, "extract")
        dialect = Dialect(given.delimiter or ",", given.quotechar, given.escapechar, given.skip_initial_space)
        return CsvReader(
            dialect,
            encoding=given.encoding,
            delimiter=given.delimiter,
            header=given.header,
            columns=given.columns,
            null_values=given.null_values,
            max_field=given.max_field,
        )

    def writer(self, options: Mapping[str, Any], name: str) -> CsvWriter:
        given = options_of(CsvDestinationOptions, options, "load")
        delimiter = given.delimiter or ("\t" if name == "tsv" else ",")
        return CsvWriter(delimiter, declared=given.delimiter, encoding=given.encoding)
