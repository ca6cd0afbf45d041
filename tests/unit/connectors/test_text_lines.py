"""Tests that lines that are given together are those that are given one by one."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from loom_connectors.files import text_lines
from loom_connectors.files.text_lines import Encoding, Lines

PIECES = st.sampled_from([b"a", b"long ", "é".encode(), b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\x85", b"word " * 9])
NEWLINES = st.sampled_from([("utf-8", b"\n"), ("utf-8", b"\r"), ("cp1252", b"\n"), ("utf-16-le", b"\n\0")])


def one_by_one(content: bytes, encoding: Encoding):
    lines = Lines(io.BytesIO(content), encoding, "t.csv", 0, 0)
    return [told(lines, text) for text in lines]


def together(content: bytes, encoding: Encoding, counts):
    """Return the same of lines of which each is passed before the next is asked for, a few at a time."""
    lines = Lines(io.BytesIO(content), encoding, "t.csv", 0, 0)
    given, waiting = [], list(counts)
    for texts in lines.together(lambda: waiting.pop() if waiting else 3):
        assert texts
        for text in texts:
            lines.pass_to(lines.number + 1)
            given.append(told(lines, text))
    return given


def told(lines: Lines, text: str):
    trouble, lines.trouble = lines.trouble, None
    return text, lines.offset, lines.number, str(trouble)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40), NEWLINES, st.lists(st.integers(1, 9), max_size=9))
def test_lines_are_the_same_however_many_are_given_together(pieces, form, counts):
    codec, newline = form
    encoding, content = Encoding(codec, 0, newline), b"".join(pieces)
    assert together(content, encoding, counts) == one_by_one(content, encoding)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=40), st.lists(st.integers(1, 9), max_size=9))
def test_a_line_of_several_pieces_is_given_whole(pieces, counts):
    content = b"".join(pieces)
    usual = text_lines.LONGEST_PIECE
    whole = one_by_one(content, Encoding("utf-8", 0, b"\n"))
    text_lines.LONGEST_PIECE = 4
    try:
        assert together(content, Encoding("utf-8", 0, b"\n"), counts) == whole
        assert one_by_one(content, Encoding("utf-8", 0, b"\n")) == whole
    finally:
        text_lines.LONGEST_PIECE = usual


def test_no_more_lines_are_read_than_are_wanted():
    stream = io.BytesIO(b"one\ntwo\nthree\n")
    lines = Lines(stream, Encoding("utf-8", 0, b"\n"), "t.csv", 0, 0)
    assert list(next(lines.together(lambda: 2))) == ["one\n", "two\n"]
    assert stream.tell() == 8
    assert (lines.offset, lines.number) == (0, 0)
    lines.pass_to(1)
    assert (lines.offset, lines.number) == (4, 1)


def test_a_line_that_is_too_long_is_cut_and_told_and_its_neighbours_are_given(monkeypatch):
    monkeypatch.setattr(text_lines, "LONGEST_PIECE", 4)
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 16)
    monkeypatch.setattr(text_lines, "_KEPT", 3)
    content, encoding = b"a\n" + b"x" * 50 + b"\nb\n", Encoding("utf-8", 0, b"\n")
    given = together(content, encoding, [9])
    assert [(text, offset) for text, offset, _, _ in given] == [("a\n", 2), ("xxx", 53), ("b\n", 55)]
    assert "t.csv line 2: 51 bytes without a line end" in given[1][3]
    assert given == one_by_one(content, encoding)
