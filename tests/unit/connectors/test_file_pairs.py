"""Tests copies from file to file: no value changes, no row is lost without being kept back, and nothing fails with a
traceback."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.json_values.exact_json import loads
from loom_common.errors import LoomError
from support.file_sources import source_of
from support.pieces import read_through
from support.round_trips import JSON, TEXT, carried, same, tried

QUOTES = ['"', '""', ",", ";", "\t", "\n", "\r\n", "\r", "'", "\\"]
TRICKY = [*QUOTES, "null", "NaN", "0.10", "1e5", "00", "\ufeff", "\u200b"]
CELL = TEXT | st.sampled_from(TRICKY) | st.datetimes().map(lambda value: value.isoformat())
DECIMAL = st.decimals(allow_nan=False, allow_infinity=False).map(str)
"""A number as it may be written; most are no floating-point number of 64 bits."""
NAMES = ["id", "a", "b c", "é", "x,y", 'q"u']
OBJECTS = st.lists(st.dictionaries(st.sampled_from(NAMES), JSON | CELL, max_size=4), max_size=6)
MARKS = st.sampled_from(["", "\ufeff"])


@contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="loom-pairs-") as name:
        yield Path(name)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Return a header and its rows, all text."""
    columns = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    width = len(columns)
    return columns, draw(st.lists(st.lists(CELL | DECIMAL, min_size=width, max_size=width), max_size=6))


DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.just(csv.QUOTE_ALL),
    }
)


def written_csv(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]], dialect: Mapping[str, Any], mark: str
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, **dialect).writerows([columns, *rows])
    path.write_bytes((mark + buffer.getvalue()).encode())


def fields_of(path: Path) -> list[list[str | None]]:
    """Return the fields of a CSV file as a strict and independent reader sees them; None for an empty one without
    quotes."""
    text, at, rows, row = path.read_bytes().decode(), 0, [], []
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"' or text[end + 1] == '"':
                end += 2 if text[end] == '"' else 1
            row.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = at
            while text[end] not in ',\n"\r':
                end += 1
            row.append(text[at:end] or None)
            at = end
        assert text[at] in ",\n"
        if text[at] == "\n":
            rows.append(row)
            row = []
        at += 1
    return rows


def as_field(value: Any) -> str | None:
    """Return what a CSV file says of a value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def is_field(found: str | None, value: Any) -> bool:
    """Tell whether a field says the value, exactly."""
    if isinstance(value, dict | list):
        return found is not None and same(loads(found), value)
    if isinstance(value, float):
        return found is not None and float(found) == value
    return found == as_field(value)


@tried
@given(table=tables(), dialect=DIALECTS, mark=MARKS)
async def test_csv_to_csv(table, dialect, mark):
    columns, rows = table
    with folder() as place:
        written_csv(place / "in.csv", columns, rows, dialect, mark)
        _, kept = await carried(place, "in.csv", "out.csv", "run", options={"delimiter": dialect["delimiter"]})
        assert not kept
        assert fields_of(place / "out.csv") == ([columns, *rows] if rows else [])
        again = await read_through(source_of(place, name="out.csv")) if rows else []
        assert [list(record.data.values()) for record in again] == rows


@tried
@given(table=tables(), dialect=DIALECTS, mark=MARKS)
async def test_csv_to_json_lines(table, dialect, mark):
    columns, rows = table
    with folder() as place:
        written_csv(place / "in.csv", columns, rows, dialect, mark)
        _, kept = await carried(place, "in.csv", "out.jsonl", "run", options={"delimiter": dialect["delimiter"]})
        assert not kept
        lines = (place / "out.jsonl").read_bytes().decode().split("\n")[:-1]
        assert [json.loads(line) for line in lines] == [dict(zip(columns, row, strict=True)) for row in rows]


@tried
@given(objects=OBJECTS, ascii_only=st.booleans())
async def test_json_lines_to_json_lines(objects, ascii_only):
    with folder() as place:
        text = "".join(json.dumps(each, ensure_ascii=ascii_only) + "\n" for each in objects)
        (place / "in.jsonl").write_bytes(text.encode())
        _, kept = await carried(place, "in.jsonl", "out.jsonl", "run")
        assert not kept
        lines = (place / "out.jsonl").read_bytes().decode().split("\n")[:-1]
        assert len(lines) == len(objects)
        assert all(same(json.loads(line), each) for line, each in zip(lines, objects, strict=True))


@tried
@given(objects=OBJECTS)
async def test_json_lines_to_csv(objects):
    with folder() as place:
        (place / "in.jsonl").write_bytes("".join(json.dumps(each) + "\n" for each in objects).encode())
        _, kept = await carried(place, "in.jsonl", "out.csv", "run")
        assert kept == {at for at, each in enumerate(objects) if not each}  # without a field there is no row
        expected = [each for each in objects if each]
        columns, *rows = fields_of(place / "out.csv") or [[]]
    assert set(columns) == {name for each in expected for name in each}
    assert len(rows) == len(expected)
    for row, each in zip(rows, expected, strict=True):
        for name, found in zip(columns, row, strict=True):
            value = each.get(name or "")
            # A row that is one null would be a blank line.
            assert is_field(found, value) or (len(columns) == 1 and value is None and found == "")


@tried
@given(numbers=st.lists(DECIMAL | st.integers().map(str), min_size=1, max_size=6))
async def test_a_number_is_exact_or_its_record_is_kept_back(numbers):
    with folder() as place:
        (place / "in.jsonl").write_text("".join(f'{{"n":{text}}}\n' for text in numbers))
        _, kept = await carried(place, "in.jsonl", "out.jsonl", "run")
        lines = (place / "out.jsonl").read_text().splitlines()
    passed = [text for at, text in enumerate(numbers) if at not in kept]
    assert len(lines) == len(passed)
    for text, line in zip(passed, lines, strict=True):
        assert loads(line)["n"] == (float(text) if set(text) & set(".eE") else int(text))


@tried
@given(content=st.binary(max_size=60) | CELL.map(str.encode), name=st.sampled_from(["in.csv", "in.jsonl"]))
async def test_bytes_of_any_kind_are_records_or_refused_with_words(content, name):
    with folder() as place:
        (place / name).write_bytes(content)
        try:
            records = await read_through(source_of(place, name=name), 2)
        except LoomError as error:
            assert name in str(error)
            return
    assert len({record.position for record in records}) == len(records)
