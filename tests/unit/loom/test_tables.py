"""Lists on stdout and what is said of them on stderr."""

import json

import pytest

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Among, Column, print_rows

COLUMNS = [Column("id", "id", keep=True), Column("why", "reason"), Column("n", "n", terminal.count, number=True)]
ROWS = [{"id": "run_0123456789ab", "why": "too long to be shown in so little room", "n": 1234}, {"id": "b"}]


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
