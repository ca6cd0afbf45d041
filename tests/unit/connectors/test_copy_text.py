"""COPY's text format."""

from __future__ import annotations

import pytest

from loom_connectors.ports.destination import Row
from loom_connectors.postgres.copy_text import copy_text
from loom_connectors.values import UnfitValue


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "text", "\\N"),
        (None, "json", "\\N"),
        ("", "text", ""),
        ("\1", "text", "\1"),
        ("a\0b\tc", "text", "a\0b\\tc"),
        ("\\N", "text", "\\\\N"),
        ("a\tb\nc\rd\\e", "text", "a\\tb\\nc\\rd\\\\e"),
        (True, "text", "true"),
        (1.5, "text", "1.5"),
        ({"a": [1]}, "text", '{"a":[1]}'),
        ("a", "json", '"a"'),
        ('"', "json", '"\\\\""'),
        (False, "json", "false"),
        (["a", None, 1, 'q"\\'], "array", '{"a",NULL,1,"q\\\\"\\\\\\\\"}'),
        ([[1, 2], [3, 4]], "array", "{{1,2},{3,4}}"),
        ("{1}", "array", "{1}"),
    ],
)
def test_a_value_is_written_for_its_column(value, form, text):
    assert copy_text([Row("r", {"c": value})], ["c"], {"c": form}) == f"{text}\n".encode()


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1.0, "integer", "1"),
        (1.5, "integer", "1.5"),  # for Postgres to refuse
        (2**53, "double", "9007199254740992"),
        (0.1, "single", "0.1"),
        ("0.10", "single", "0.10"),
        (1.25, "numeric 2", "1.25"),
        ("1.2500", "numeric 2", "1.2500"),
        (1e22, "numeric 0", "1e+22"),
        ("high", "numeric 2", "high"),
        ("0044-03-15 BC", "date", "0044-03-15 BC"),
        ("infinity", "date", "infinity"),
        ("2024-02-29T00:00:00.000Z", "date", "2024-02-29T00:00:00.000Z"),
        ("2024-02-29T12:00:00Z", "timestamp 6", "2024-02-29T12:00:00Z"),
        ("2024-02-29T12:00:00.500000000+00:00", "timestamp 3", "2024-02-29T12:00:00.500000000+00:00"),
        ("2024-02-29T12:00:00+02:00", "moment 6", "2024-02-29T12:00:00+02:00"),
        ({"$bytes": "00ff"}, "bytes", "\\\\x00ff"),
        ("\\x00", "bytes", "\\\\x00"),
        ([{"$bytes": "00"}], "array bytes", '{"\\\\\\\\x00"}'),
        ([{"a": 1}, "x", None, 1], "array json", '{"{\\\\"a\\\\":1}","\\\\"x\\\\"",NULL,"1"}'),
        (2**70, "json", str(2**70)),
    ],
)
def test_a_value_that_its_column_keeps_is_written(value, form, text):
    assert copy_text([Row("r", {"c": value})], ["c"], {"c": form}) == f"{text}\n".encode()


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (2**53 + 1, "double"),
        ("0.1234567890123456789", "double"),
        (0.1234567891, "single"),
        (1e300, "single"),
        (1.239, "numeric 2"),
        ("1.239", "numeric 2"),
        (0.5, "numeric 0"),
        ("2024-02-29T12:00:00", "date"),
        ("2024-02-29 00:00:01", "date"),
        ("2024-02-29T12:00:00+02:00", "timestamp 6"),
        ("2024-02-29 12:00-05", "timestamp 6"),
        ("2024-02-29T12:00:00.1234567", "moment 6"),
        ("2024-02-29T12:00:00.5Z", "timestamp 0"),
        ({"a": 1}, "array text"),
        ([{"a": 1}], "array text"),
        (7, "array integer"),
        (True, "array text"),
        ([1.239], "array numeric 2"),
        ({"a": 1}, "bytes"),
    ],
)
def test_a_value_that_its_column_would_change_is_refused(value, form):
    with pytest.raises(UnfitValue, match=r"^column c: "):
        copy_text([Row("r", {"c": value})], ["c"], {"c": form})


def test_an_absent_value_is_null_and_rows_can_be_numbered():
    rows = [Row("1", {"a": "x", "b": "y"}), Row("2", {"b": ""})]
    assert copy_text(rows, ["a", "b"], {"a": "text", "b": "text"}, numbered=True) == b"0\tx\ty\n1\t\\N\t\n"


@pytest.mark.parametrize(
    ("values", "written"),
    [
        pytest.param(
            ("a", None, "\\N", "b\tc", "", "\r\n", "\\"),
            (b"a", rb"\N", rb"\\N", rb"b\tc", b"", rb"\r\n", rb"\\"),
            id="what Postgres would read otherwise",
        ),
        pytest.param(("a", "b\0c", None), (b"a", b"b\0c", rb"\N"), id="what stands for the end of a value"),
        pytest.param(("\0", "\0\0"), (b"\0", b"\0\0"), id="that alone"),
        pytest.param(("\1", None, "a\1\tb"), (b"\1", rb"\N", b"a\1\\tb"), id="what stands for a null"),
        pytest.param(
            ("é\t", "\ud800", "…\\", None),
            (b"\xc3\xa9\\t", b"\xed\xa0\x80", b"\xe2\x80\xa6\\\\", rb"\N"),
            id="letters of several bytes",
        ),
        pytest.param((None, None), (rb"\N", rb"\N"), id="nulls alone"),
        pytest.param(("a", 1, {"b": "\t"}), (b"a", b"1", rb'{"b":"\\t"}'), id="what is no text"),
    ],
)
def test_texts_of_many_rows_are_escaped_as_each_is_by_itself(values, written):
    rows = [Row("r", {"c": value, "d": "e\\f"}) for value in values]
    lines = [each + b"\t" + rb"e\\f" + b"\n" for each in written]
    assert copy_text(rows, ["c", "d"], {"c": "text", "d": "text"}) == b"".join(lines)
    assert [copy_text([row], ["c", "d"], {"c": "text", "d": "text"}) for row in rows] == lines


def test_records_that_hold_texts_alone_are_written_by_the_columns_and_numbered_likewise():
    rows = [Row("1", {"a": "x", "b": "\t"}), Row("2", {"b": "y", "a": ""})]
    forms = {"a": "text", "b": "text"}
    assert copy_text(rows, ["a", "b"], forms) == b"x\t\\t\n\ty\n"
    assert copy_text(rows, ["a", "b"], forms, numbered=True) == b"0\tx\t\\t\n1\t\ty\n"


def test_a_text_is_written_for_its_column_beside_other_texts():
    assert copy_text([Row("1", {"a": "x", "b": "y"})], ["a", "b"], {"a": "text", "b": "json"}) == b'x\t"y"\n'
