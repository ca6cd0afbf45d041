"""Tests that the pieces of a file are, one after the other, the file: the same records at the same positions."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loom_common.errors import SourceError
from loom_connectors.files import line_starts
from loom_connectors.files.reading import source as file_source
from support.file_sources import outcome, source_of
from support.pieces import read_pieces, read_through

NASTY = st.sampled_from(["", '"', '""', ",", "\n", "\r\n", "\r", " ", "a,b", 'say "so"', "é\n\n", "'", "\n\n\n"])
FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | NASTY
ROWS = st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=12)
PARTS = st.integers(2, 7)
CHUNKS = st.sampled_from([1, 2, 7, 64, 4096])
SOUP = st.text(st.sampled_from('ab",\n\r '), max_size=80)
"""Text that is often no CSV."""


async def pieces_of(folder: Path | str, content: bytes, parts: int, chunk: int = 64, **options: object) -> int:
    """See that the pieces give what the whole gives. Return how many they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_starts, "_CHUNK", chunk)
        source = source_of(Path(folder), content, **options)
        whole = [outcome(each) for each in await read_through(source)]
        pieces = await source.split(parts)
        found = [outcome(each) for each in await read_pieces(source, pieces, 3)]
    assert len(pieces) <= parts
    assert found == whole
    return len(pieces)


def written(rows: list[list[str]], **dialect: object) -> str:
    text = io.StringIO()
    csv.writer(text, **dialect).writerows([["id", "text"], *rows])
    return text.getvalue()


@settings(max_examples=200, deadline=None)
@given(
    ROWS, PARTS, CHUNKS, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)  # fmt: skip
async def test_the_pieces_of_any_table_are_the_table(rows, parts, chunk, quoting, terminator, encoding):
    text = written(rows, quoting=quoting, lineterminator=terminator)
    with tempfile.TemporaryDirectory() as folder:
        await pieces_of(folder, text.encode(encoding), parts, chunk)


@settings(max_examples=400, deadline=None)
@given(SOUP, PARTS, CHUNKS)
@example('a"b\n",\n"\n1,2\n', 3, 2)
@example('"a"b\n1,2\n"c\nd",2\n', 4, 64)
@example('1,"\n2,b\n3,c\n', 4, 64)
async def test_the_pieces_of_any_text_are_the_text(soup, parts, chunk):
    with tempfile.TemporaryDirectory() as folder:
        await pieces_of(folder, b"a,b\n" + soup.encode(), parts, chunk)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), PARTS, CHUNKS, st.sampled_from(["x.csv", "x.jsonl"]))
async def test_the_pieces_of_any_bytes_are_the_bytes(noise, parts, chunk, name):
    with tempfile.TemporaryDirectory() as folder:
        try:
            await pieces_of(folder, b"a,b\n" + noise, parts, chunk, name=name)
        except SourceError:  # what the bytes look like is no text, whole or in pieces
            with pytest.raises(SourceError):
                await read_through(source_of(Path(folder), name=name))


ROW = 'line,"quoted\n\n""text"", of three lines"\n'


async def test_quoted_line_ends_do_not_keep_a_table_together(tmp_path):
    assert await pieces_of(tmp_path, ("id,text\n" + ROW * 100).encode(), 4) == 4


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("id,text\n" + '1,5" pipe\n' * 50, {}),
        ("id,text\n" + '1,"a"b\n' * 50, {}),
        ("id,text\n" + "1,a\n" * 50 + '1,"open\n', {}),
        ("id,text\n" + "1,a\\\nb\n" * 50, {"escapechar": "\\"}),
        ("id,text\r" + "1,a\r" * 50, {}),
        ("id,text\n" + "1,a\n" * 50, {"encoding": "utf-16-le"}),
        ("id,text\n" + "1,a\n" * 50, {"encoding": "gbk"}),
    ],
    ids=["quote-amid-a-field", "broken-quote", "open-quote", "escapes", "carriage-returns", "utf-16", "gbk"],
)
async def test_a_table_in_which_the_beginning_of_a_record_cannot_be_told_is_one_piece(tmp_path, content, options):
    encoding = options.get("encoding", "utf-8")
    assert await pieces_of(tmp_path, content.encode(encoding), 4, **options) == 1


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("id;text\n" + '1;"a\nb"\n' * 50, {}),
        ("id,text\n" + '1,5" pipe\n' * 50, {"quotechar": None}),
        ("id,text\n" + "1,'a\n''b'\n" * 50, {"quotechar": "'"}),
        ("id,text\n" + '1,"ä\nö"\n' * 50, {"encoding": "cp1252"}),
        ("sep=|\nid|text\n" + '1|"a\n|b"\n' * 50, {}),
        ('"i\nd",text\n' + "1,a\n" * 50, {}),
        ("1,a\n" * 50, {"header": False, "columns": ["id", "text"]}),
    ],
    ids=["semicolon", "no-quotes", "other-quote", "cp1252", "declared", "header-of-two-lines", "no-header"],
)
async def test_tables_of_other_dialects_are_split(tmp_path, content, options):
    assert await pieces_of(tmp_path, content.encode(options.get("encoding", "utf-8")), 4, **options) == 4


async def test_lines_are_counted_before_a_piece(tmp_path):
    lines = "".join(json.dumps({"id": at}) + "\n\n" for at in range(100))
    assert await pieces_of(tmp_path, lines.encode(), 5, name="x.jsonl") == 5


async def test_a_record_that_is_too_long_keeps_the_file_together(tmp_path, monkeypatch):
    content = ("id,text\n" + ROW * 20 + f'1,"{"x" * 500}\n"\n' + ROW * 20).encode()
    assert await pieces_of(tmp_path, content, 4) == 4
    monkeypatch.setattr("loom_connectors.formats.csv_reading.starts.LONGEST_LINE", 900)
    assert await pieces_of(tmp_path, content, 4) == 1


async def test_several_files_are_split_between_and_within_them(tmp_path):
    for name, rows in [("a", 5), ("b", 90), ("c", 0), ("d", 5)]:
        (tmp_path / f"{name}.csv").write_text("id,text\n" + ROW * rows)
    source = source_of(tmp_path, name="*.csv")
    pieces = await source.split(4)
    assert [outcome(each) for each in await read_pieces(source, pieces, 7)] == [
        outcome(each) for each in await read_through(source)
    ]
    assert [piece.start and piece.start["name"] for piece in pieces] == [None, "b.csv", "b.csv", "b.csv"]


async def test_files_that_cannot_be_split_are_split_between_them(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.csv").write_text("id,text\n" + '1,5" pipe\n' * 20)
    source = source_of(tmp_path, name="*.csv")
    pieces = await source.split(3)
    assert [piece.start and piece.start["name"] for piece in pieces] == [None, "c.csv", "d.csv"]
    assert len(await read_pieces(source, pieces, 7)) == 80


async def test_a_small_file_is_one_piece_unless_more_are_asked_for(tmp_path, monkeypatch):
    source = source_of(tmp_path, ("id,text\n" + ROW * 100).encode())
    assert len(await source.split(None)) == 1
    monkeypatch.setattr(file_source, "_PIECE", 1000)
    assert len(await source.split(None)) == 4


async def test_a_file_that_changes_after_it_was_split_is_not_read_on(tmp_path):
    source = source_of(tmp_path, ("id,text\n" + ROW * 100).encode())
    first, second = await source.split(2)
    (tmp_path / "x.csv").write_text("id,text\n" + ROW * 101)
    for piece in (first, second):
        with pytest.raises(SourceError, match="changed while the run was reading it"):
            await source.read(piece.start, 10, piece.until)
