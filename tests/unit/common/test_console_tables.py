"""Tests tables for people: what is shown whole, what is cut, and what a pipe gets."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import pytest
from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from loom_common.console import numbers, streams
from loom_common.console.tables import Column, RowTable, lay_out, shared_out

COLUMNS = [Column("id", "id", keep=True), Column("why", "reason"), Column("n", "n", numbers.count, number=True)]
ROWS = [{"id": "run_0123456789ab", "why": "too long to be shown in so little room", "n": 1234}, {"id": "b"}]


@dataclass(frozen=True)
class Row:
    id: str
    why: str | None
    n: int | None


class Terminal(io.StringIO):
    """A stream that says it is a terminal, or not."""

    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    @property
    def encoding(self) -> str:
        return "utf-8"

    def isatty(self) -> bool:
        return self._tty


def printed(monkeypatch, columns: str | None, *, tty: bool) -> list[str]:
    """Return the lines of a table on a stream, in a terminal of so many columns."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    stream = Terminal(tty=tty)
    rows = [Row("run_1", "w" * 200, 1234)]
    streams.console_on(stream).print(Group("first", RowTable(rows, COLUMNS)), soft_wrap=True)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("tty", [True, False])
def test_no_text_that_is_printed_controls_the_terminal(monkeypatch, tty):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal(tty=tty)
    foreign = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\re\tf"
    rows = [{"id": foreign, "why": foreign, "n": 1}]
    console = streams.console_on(stream)
    for each in (RowTable(rows, COLUMNS), Text(foreign), foreign, Group(foreign, Text(foreign, style="bold"))):
        console.print(each, markup=False)
    said = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())  # styles of Loom's own
    assert not [each for each in said if (each < " " and each not in "\t\n") or "\x7f" <= each <= "\x9f"]
    assert "a\u241b[2Jb\u241b]0;title" in said


def test_optional_columns_are_left_out_where_the_others_would_not_fit():
    columns = [
        Column("id", "id", keep=True),
        Column("n", "n", keep=True, optional=True),
        Column("why", "reason"),
        Column("m", "m", keep=True, optional=True),
    ]
    rows = [{"id": "run_0123456789ab", "why": "too long to be shown", "n": 12, "m": "one"}]
    assert lay_out(rows, columns, 40, "…")[0].split() == ["id", "n", "reason", "m"]
    assert lay_out(rows, columns, 32, "…")[0].split() == ["id", "n", "reason"]
    assert lay_out(rows, columns, 26, "…") == ["id                reason", "run_0123456789ab  too lon…"]


def test_ids_stay_whole_and_long_values_are_cut():
    assert lay_out(ROWS, COLUMNS, 40, "…") == [
        "id                reason               n",
        "run_0123456789ab  too long to be…  1,234",
        "b                 -                    -",
    ]


def test_a_cut_in_ascii_has_the_same_width():
    assert lay_out(ROWS, COLUMNS, 40, "...")[1] == "run_0123456789ab  too long to ...  1,234"


@pytest.mark.parametrize(
    ("natural", "keep", "room", "widths"),
    [
        ([4, 5, 6], [False] * 3, 100, [4, 5, 6]),
        ([10, 50, 50], [True, False, False], 60, [10, 25, 25]),
        ([10, 9, 50], [True, False, False], 60, [10, 9, 41]),
        ([90, 50], [True, False], 60, [90, 8]),
    ],
)
def test_room_goes_to_kept_columns_then_to_short_ones_then_evenly(natural, keep, room, widths):
    assert shared_out(natural, keep, room) == widths


def test_rows_may_be_objects_or_mappings():
    objects = [Row("run_0123456789ab", "too long to be shown in so little room", 1234), Row("b", None, None)]
    assert lay_out(objects, COLUMNS, 40, "…") == lay_out(ROWS, COLUMNS, 40, "…")


def test_characters_that_take_two_cells_are_counted_as_two():
    _, row = lay_out([Row("run_1", "很" * 40, 7)], COLUMNS, 40, "…")
    assert (row, cell_len(row)) == ("run_1  " + "很" * 14 + " …  7", 40)


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_is_filled_and_not_exceeded(monkeypatch, width):
    _, head, row = printed(monkeypatch, str(width), tty=True)
    assert head.startswith("\x1b[1mid")
    assert (len(row), row[-10:]) == (width, "www…  1,234"[-10:])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("width", range(1, 24))
def test_no_line_ends_with_blanks_not_even_where_the_terminal_is_too_narrow(monkeypatch, width, whole):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal(tty=False)
    rows = [{"id": "run_1", "why": None, "n": None}, {"id": "run_2", "why": "late", "n": 1234}]
    columns = [Column("id", "id", keep=True), Column("why", "reason"), Column("n", "records", number=True, keep=True)]
    streams.console_on(stream).print(RowTable(rows, columns), soft_wrap=whole)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert [line for line in lines if line != line.rstrip()] == []
    assert whole or max(map(cell_len, lines)) <= width


def test_a_pipe_gets_every_character_and_no_colour(monkeypatch):
    first, head, row = printed(monkeypatch, None, tty=False)
    assert (first, head.split(), row) == ("first", ["id", "reason", "n"], "run_1  " + "w" * 200 + "  1,234")


@pytest.mark.parametrize(
    ("value", "words"), [(True, "true"), (False, "false"), ([1, None], "[1, null]"), (0, "0"), ("", "-")]
)
def test_a_value_is_written_as_json_writes_it(value, words):
    assert numbers.compact(value) == words
