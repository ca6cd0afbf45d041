"""CSV files: a `Source` and a `Destination`.

Values stay text: an empty field is the empty string, and nothing is taken for a number or a date."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.values.urls import scheme_of
from loom_connectors.formats.csv_broken import Dialect
from loom_connectors.formats.csv_header import twice
from loom_connectors.formats.csv_parts import CsvParts
from loom_connectors.formats.csv_records import CsvFormat
from loom_connectors.options import Options, options_of
from loom_connectors.ports import ConnectorContext
from loom_connectors.storage.file_destination import FileDestination
from loom_connectors.storage.file_source import FileSource
from loom_connectors.storage.text_lines import usable


class CsvSourceOptions(Options):
    """How a CSV file is written."""

    encoding: str | None = Field(None, description="Default: by the byte order mark, else utf-8.")
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
        default_factory=list,
        description="Fields that are null, quoted or not, e.g. `['', NA]`. Default: none: empty fields are empty text.",
    )
    max_field: int = Field(131_072, ge=1, description="The longest field, in characters.")

    @field_validator("encoding")
    @classmethod
    def _usable(cls, value: str | None) -> str | None:
        return None if value is None else usable(value)

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


class CsvDestinationOptions(Options):
    """How a CSV file is to be written: line feeds, quotes where needed. Rows that are added to a file are written as it
    is."""

    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Default: that of the file that is added to; else a comma, a tab in files named `.tsv`.",
    )
    encoding: str | None = Field(None, description="Default: that of the file that is added to, else utf-8.")

    @field_validator("encoding")
    @classmethod
    def _usable(cls, value: str | None) -> str | None:
        return None if value is None else usable(value)


def open_source(config: ExtractConfig, surroundings: ConnectorContext) -> FileSource:
    """A CSV file, or several. Raises `ConfigurationError`."""
    options = options_of(CsvSourceOptions, config.options, "extract")
    dialect = Dialect(options.delimiter or ",", options.quotechar, options.escapechar, options.skip_initial_space)
    form = CsvFormat(
        dialect,
        encoding=options.encoding,
        delimiter=options.delimiter,
        header=options.header,
        columns=options.columns,
        null_values=options.null_values,
        max_field=options.max_field,
    )
    return FileSource(config, surroundings, form)


def open_destination(config: LoadConfig, surroundings: ConnectorContext) -> FileDestination:
    """A CSV file. Raises `ConfigurationError`."""
    options = options_of(CsvDestinationOptions, config.options, "load")
    delimiter = options.delimiter or ("\t" if scheme_of(config.destination) == "tsv" else ",")
    return FileDestination(
        config, surroundings, CsvParts(delimiter, declared=options.delimiter, encoding=options.encoding)
    )
