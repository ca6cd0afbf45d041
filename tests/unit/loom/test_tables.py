"""Tables for people: what is shown whole, what is cut."""

import json

import pytest

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Among, Column, lay_out, print_rows, shared_out

COLUMNS = [Column("id", "id", keep=True), Column("why", "reason"), Column("n", "n", terminal.count, number=True)]
ROWS = [{"id": "run_0123456789ab", "why": "too long to be shown in so little room", "n": 1234}, {"id": "b"}]


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


def test_json_has_every_key_and_nothing_cut(capsys):
    print_rows(ROWS, COLUMNS, Format.JSON, "none")
    assert json.loads(capsys.readouterr().out) == ROWS


def test_no_rows_are_said_on_stderr_and_are_an_empty_list_in_json(capsys):
    print_rows([], COLUMNS, Format.TABLE, "nothing here")
    assert tuple(capsys.readouterr()) == ("", "nothing here\n")
    print_rows([], COLUMNS, Format.JSON, "nothing here")
    assert tuple(capsys.readouterr()) == ("[]\n", "")


def test_values_that_look_like_markup_are_shown_as_they_are(capsys):
    print_rows([{"id": "[red]", "why": "a\nb"}], COLUMNS, Format.TABLE, "")
    assert "[red]  a b" in capsys.readouterr().out


def test_in_a_pipe_nothing_is_cut(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_rows([{"id": "a", "why": "w" * 500}], COLUMNS, Format.TABLE, "")
    assert "w" * 500 in capsys.readouterr().out


@pytest.mark.parametrize("form", list(Format))
def test_what_is_not_shown_is_said(capsys, form):
    print_rows(ROWS, COLUMNS, form, "", Among(1488, "record", "`--limit N` shows more"))
    assert capsys.readouterr().err == "2 of 1,488 records are shown; `--limit N` shows more.\n"
    print_rows(ROWS, COLUMNS, form, "", Among(2, "record", "`--limit N` shows more"))
    assert capsys.readouterr().err == ""
