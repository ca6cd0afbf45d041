"""A file that is not what its name or its settings say gets the advice that a person would give."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from loom_common.errors import SourceError
from support.file_sources import outcome, source_of
from support.pieces import read_through

ROWS = "id,t\n1,a\n2,b\n3,c\n"


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


async def refused(folder, content, *, name="x.csv", **options) -> str:
    """Return what is said beforehand, and by the worker that reads the file without having been asked."""
    with pytest.raises(SourceError) as checked:
        await source_of(folder, content, name=name, **options).check()
    with pytest.raises(SourceError) as read:
        await source_of(folder, name=name, **options).read(None, 10)
    assert str(checked.value) == str(read.value)
    assert name in str(checked.value)
    return str(checked.value)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(ROWS.encode()), "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd....", "compressed with Zstandard"),
        (b"BZh91AY&SY....", "compressed with bzip2"),
        (b"\xfd7zXZ\x00...", "compressed with xz"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "options: {format: xlsx}"),
        (zipped("data.csv"), "a zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "an old Excel workbook"),
        (b"SQLite format 3\x00....", "sqlite:///"),
        (b"PAR1\x15\x00....", "a Parquet file, whatever its name says. Say what it is: `options: {format: parquet}`"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\n<!DOCTYPE html>\n<html>", "an HTML page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",  # archives hold the time at which they were made
)
async def test_another_kind_of_file_is_named(tmp_path, name, content, words):
    assert words in await refused(tmp_path, content, name=name)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
async def test_a_wide_encoding_without_a_mark_is_named(tmp_path, name, codec):
    content = ROWS if name == "x.csv" else '{"id": 1}\n'
    assert f"options: {{encoding: {codec}}}" in await refused(tmp_path, content.encode(codec), name=name)
    assert len(await read_through(source_of(tmp_path, name=name, encoding=codec))) == content.count("\n") - (
        name == "x.csv"
    )


async def test_a_declared_encoding_that_the_file_contradicts_is_named(tmp_path):
    assert "no zero byte" in await refused(tmp_path, ROWS, encoding="utf-16")
    assert "byte order mark of utf-8" in await refused(tmp_path, b"\xef\xbb\xbf" + ROWS.encode(), encoding="cp1252")
    assert "byte order mark of utf-16-le" in await refused(tmp_path, ROWS.encode("utf-16"), encoding="utf-8")


async def test_a_line_that_names_the_delimiter_is_obeyed(tmp_path):
    for head in ("sep=;\n", '"sep=;"\r\n', "\ufeffsep=;\n"):
        (record,) = await read_through(source_of(tmp_path, f"{head}id;a,b;c,d,e\n1;2;3\n"))
        assert outcome(record) == ("line 3", None, {"id": "1", "a,b": "2", "c,d,e": "3"})
    (record,) = await read_through(source_of(tmp_path, "sep=;\n1;2\n", header=False, columns=["a", "b"]))
    assert record.data == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("id,\u200btext", "U+200B, ZERO WIDTH SPACE"),
        ("id,te\u200bxt", "U+200B, ZERO WIDTH SPACE"),
        ("id,text\u00a0", "U+00A0, NO-BREAK SPACE"),
        ("\ufeff\ufeffid,text", "U+FEFF, ZERO WIDTH NO-BREAK SPACE"),
        ("id,\u200etext", "U+200E, LEFT-TO-RIGHT MARK"),
        ("id,te\u0007xt", "U+0007, a control character"),
        ("\u00ef\u00bb\u00bfid,text", "a byte order mark that was read in another encoding"),
    ],
)
async def test_a_name_with_an_invisible_character_is_shown_with_it(tmp_path, header, shown):
    words = await refused(tmp_path, f"{header}\n1,a\n")
    assert shown in words
    assert "options: {columns: [...]}" in words
    (record,) = await read_through(source_of(tmp_path, f"{header}\n1,a\n", columns=["id", "text"]))
    assert record.data == {"id": "1", "text": "a"}


@pytest.mark.parametrize("header", ["id,prix\u00a0HT", "id,\u0645\u06cc\u200c\u062e", "id,two words", "id,l1\nl2"])
async def test_a_name_as_people_write_them_is_taken(tmp_path, header):
    quoted = ",".join(f'"{name}"' for name in header.split(","))
    assert len(await read_through(source_of(tmp_path, f"{quoted}\n1,a\n"))) == 1


async def test_a_delimiter_that_divides_nothing_is_told_with_the_one_that_does(tmp_path):
    assert 'options: {delimiter: ","}' in await refused(tmp_path, ROWS, delimiter=";")
    assert 'options: {delimiter: "\\t"}' in await refused(tmp_path, ROWS.replace(",", "\t"), delimiter=",")
    assert 'options: {delimiter: "^"}' in await refused(tmp_path, ROWS.replace(",", "^"))
    records = await read_through(source_of(tmp_path, ROWS, delimiter=";", columns=["line"]))
    assert records[0].data == {"line": "1,a"}


async def test_one_column_is_one_column(tmp_path):
    for content in ("name\na,b\nc\n", "url\nhttp://a\nhttp://b\n", 'a,"b;c"\n1,2\n3,4\n'):
        assert len(await read_through(source_of(tmp_path, content))) == 2


async def test_a_tsv_file_is_divided_by_tabs(tmp_path):
    (record,) = await read_through(source_of(tmp_path, "a,b,c\td\n1\t2\n", name="x.tsv"))
    assert record.data == {"a,b,c": "1", "d": "2"}


async def test_a_trailing_delimiter_is_told(tmp_path):
    (row,) = await read_through(source_of(tmp_path, "id,t\n1,a,\n"))
    assert "The row ends in ',' and the header does not" in str(row.error)
    (row,) = await read_through(source_of(tmp_path, "id,t,\n1,a\n"))
    assert "The header ends in ',' and the row does not" in str(row.error)


async def test_empty_fields_are_null_where_that_is_declared(tmp_path):
    content = 'id,n\n1,\n2,""\n3,NA\n4,x\n'
    data = [each.data["n"] for each in await read_through(source_of(tmp_path, content))]
    assert data == ["", "", "NA", "x"]
    data = [each.data["n"] for each in await read_through(source_of(tmp_path, content, null_values=""))]
    assert data == [None, None, "NA", "x"]
    data = [each.data["n"] for each in await read_through(source_of(tmp_path, content, null_values=["", "NA"]))]
    assert data == [None, None, None, "x"]


async def test_a_name_with_brackets_is_a_file_where_it_exists(tmp_path):
    (record,) = await read_through(source_of(tmp_path, "id\n1\n", name="d[1].csv"))
    assert outcome(record) == ("line 2", None, {"id": "1"})
    (tmp_path / "d[1].csv").rename(tmp_path / "d1.csv")
    (record,) = await read_through(source_of(tmp_path, name="d[1].csv"))
    assert record.position == "d1.csv line 2"


async def test_a_folder_with_brackets_is_no_pattern(tmp_path):
    folder = tmp_path / "project[1]"
    folder.mkdir()
    (folder / "a.csv").write_text("id\n1\n")
    assert len(await read_through(source_of(folder, name="*.csv"))) == 1


@pytest.mark.parametrize(
    "content",
    [
        '[{"id": 1}, {"id": 2}]',
        '[\n  {"id": 1},\n  {"id": 2}\n]\n',
        '\n[{"id": 1},\n{"id": 2}]\n',
        '[{"id": 1, "t": "' + "x" * 200_000 + '"}]\n',
    ],
)
async def test_a_file_that_is_one_json_array_is_told(tmp_path, content):
    words = await refused(tmp_path, content, name="x.jsonl")
    assert "one JSON array" in words
    assert "jq -c" in words


async def test_a_json_object_over_several_lines_is_told(tmp_path):
    words = await refused(tmp_path, '{\n  "id": 1,\n  "t": "a"\n}\n', name="x.jsonl")
    assert "over several lines" in words


async def test_a_line_that_is_a_list_is_kept_back_alone(tmp_path):
    records = await read_through(source_of(tmp_path, '[1]\n{"id": 1}\n', name="x.jsonl"))
    assert [each.error and each.error.code for each in records] == ["bad_json", None]
