"""Writes Excel workbooks of one sheet, row by row.

The libraries that do this write numbers with 16 digits, and a 64-bit number may need 17. A sheet is little XML, so it
is written here: numbers with all their digits, texts as they are, and never as formulas."""

from __future__ import annotations

import itertools
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NoReturn
from xml.sax.saxutils import escape

from loom_common.domain.json_values.exact_json import loads
from loom_common.errors import DestinationError
from loom_connectors.files.storage import StoredFile
from loom_connectors.formats.csv_writing import cell as text_of
from loom_connectors.formats.jsonl_parts import JsonLinesWriter
from loom_connectors.ports.destination import FailedRow, Row

MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384
LONGEST = 32_767
"""The rows, columns and characters of a cell that Excel allows."""
_EXACT = 2**53
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_ESCAPED = re.compile("_x[0-9A-Fa-f]{4}_")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_FILES = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


class ExcelWriter:
    """Writes the rows of batches into one sheet."""

    def __init__(self, sheet: str) -> None:
        self._sheet = sheet
        self._lines = JsonLinesWriter()

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        good, failed = [], []
        for row in rows:
            why = _unfit(row)
            (good.append(row) if why is None else failed.append(why))
        return self._lines.part(good)[0], failed

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        names = list(dict.fromkeys(itertools.chain.from_iterable(_rows_of(pieces))))
        if len(names) > MOST_COLUMNS or sum(1 for _ in _rows_of(pieces)) >= MOST_ROWS:
            raise DestinationError(
                f"A sheet of Excel has at most {MOST_ROWS:,} rows and {MOST_COLUMNS:,} columns, and there are more. "
                "Write CSV or Parquet."
            )
        name = escape(self._sheet, {'"': "&quot;"})
        workbook = (
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name="{name}" '
            'sheetId="1" r:id="rId1"/></sheets></workbook>'
        )
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
            for each, content in {**_FILES, "xl/workbook.xml": workbook}.items():
                file.writestr(_entry(each), _HEAD + content)
            with file.open(_entry("xl/worksheets/sheet1.xml"), "w", force_zip64=True) as sheet:
                sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
                sheet.write(_row(names) if names else b"")
                for row in _rows_of(pieces):
                    sheet.write(_row([row.get(name) for name in names]))
                sheet.write(b"</sheetData></worksheet>")

    def merged(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        if existing.state() is not None:
            self._refuse(existing)
        self.replacement(pieces, target)

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        if existing.state() is not None:
            self._refuse(existing)

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        self.see_existing(existing, ())
        return list(rows), []

    def _refuse(self, existing: StoredFile) -> NoReturn:
        raise DestinationError(
            f"{existing.shown} is a workbook, to which no rows are added: its other sheets, formulas and formats would "
            "be lost. Name another file, or write CSV, JSON Lines or Parquet."
        )


def _unfit(row: Row) -> FailedRow | None:
    """Say what of a row a sheet cannot hold; None where it holds all of it."""
    if not row.values:
        return FailedRow(row.record_id, "empty", "The record has no field to load.")
    for name, value in row.values.items():
        if isinstance(value, int) and abs(value) > _EXACT:
            words = f"the integer {value} would be rounded: a cell holds 64-bit floating-point numbers."
            return FailedRow(row.record_id, "type", f"The field '{name}': {words} Make it text.")
        for text in (name, text_of(value) or ""):
            if len(text) > LONGEST:
                words = f"{len(text):,} characters, and a cell of Excel holds {LONGEST:,}."
                return FailedRow(row.record_id, "type", f"The field '{name}' has {words}")
            if found := _UNWRITABLE.search(text):
                words = f"U+{ord(found[0]):04X}, which a cell of Excel cannot hold."
                return FailedRow(row.record_id, "type", f"The field '{name}' holds {words}")
    return None


def _rows_of(pieces: Sequence[StoredFile]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        with piece.opened() as (stream, _):
            for line in stream:
                yield loads(line.decode())


def _entry(name: str) -> zipfile.ZipInfo:
    """The same rows make the same bytes: no entry has the time."""
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _row(values: Sequence[Any]) -> bytes:
    return f"<row>{''.join(map(_cell, values))}</row>".encode()


def _cell(value: Any) -> str:
    match value:
        case None:
            return "<c/>"
        case bool():
            return f'<c t="b"><v>{int(value)}</v></c>'
        case int() | float():
            return f"<c><v>{value!r}</v></c>"
    text = _ESCAPED.sub(lambda found: f"_x005F{found[0]}", text_of(value) or "")
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'
