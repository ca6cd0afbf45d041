"""A closing quote is followed by a delimiter or a line end; else the record is kept back, and the next one is read."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.file_sources import outcome, source_of
from support.pieces import read_through

OK = None


async def read(folder, content, page=1000, **options):
    return [outcome(each) for each in await read_through(source_of(folder, content, **options), page)]


async def test_a_row_with_a_broken_quote_is_kept_back_and_its_neighbours_are_read(tmp_path):
    content = 'id,t\n1,"a\n2,b\n3,"ok"\n4,c\n5,"A "B""\n'
    assert await read(tmp_path, content) == [
        ("line 2", "broken_quote", {"raw": '1,"a'}),
        ("line 3", OK, {"id": "2", "t": "b"}),
        ("line 4", OK, {"id": "3", "t": "ok"}),
        ("line 5", OK, {"id": "4", "t": "c"}),
        ("line 6", "broken_quote", {"raw": '5,"A "B""'}),
    ]


async def test_the_error_says_what_to_do(tmp_path):
    (record,) = await read_through(source_of(tmp_path, 'id,t\n5,"A "B""\n'))
    for words in ("x.csv line 2", 'Write "" for a quote', "escapechar", "quotechar: null"):
        assert words in str(record.error)


async def test_a_hundred_rows_do_not_vanish_into_one_field(tmp_path):
    rows = [f"{at},plain text {at}" for at in range(1000)]
    rows[400], rows[500] = '400,"opened', '500,"said"'
    found = await read(tmp_path, "\n".join(["id,t", *rows, ""]))
    assert len(found) == 1000
    assert [each for each in found if each[1]] == [("line 402", "broken_quote", {"raw": '400,"opened'})]


async def test_a_record_of_several_lines_is_kept_up_to_the_line_where_the_broken_field_was_opened(tmp_path):
    content = 'id,t,u\n1,"a\nb","c\n2,d,e\n3,"f",g\n'
    assert await read(tmp_path, content) == [
        ("line 2", "broken_quote", {"raw": '1,"a\nb","c'}),
        ("line 4", OK, {"id": "2", "t": "d", "u": "e"}),
        ("line 5", OK, {"id": "3", "t": "f", "u": "g"}),
    ]


async def test_a_quote_left_open_at_the_end_keeps_its_line_back_and_no_other(tmp_path):
    for end in ("", "\n", "\r\n"):
        content = f'id,t\n1,a\n2,"b\n3,c{end}'
        codes = [(position, code) for position, code, _ in await read(tmp_path, content)]
        assert codes == [("line 2", OK), ("line 3", "unclosed_quote"), ("line 4", OK)]


async def test_a_quote_amid_a_field_without_quotes_is_text(tmp_path):
    (record,) = await read(tmp_path, 'id,t\n1,5" pipe "x"\n')
    assert record == ("line 2", OK, {"id": "1", "t": '5" pipe "x"'})


async def test_a_long_text_of_many_lines_is_one_record_kept_back_and_none_of_its_lines_is_taken_for_a_row(tmp_path):
    text = "\n".join(f"{at},line" for at in range(3000))
    found = await read(tmp_path, f'id,t\n1,"{text}"\n2,b\n', max_field=10_000)
    assert [(position, code) for position, code, _ in found] == [("line 2", "field_too_long"), ("line 3002", OK)]
    assert found[0][2]["raw"].startswith('1,"0,line\n1,line')


async def test_a_quote_left_open_in_a_long_file_costs_one_line(tmp_path):
    rows = "".join(f"{at},{'x' * 50}\n" for at in range(5000))
    found = await read(tmp_path, f'id,t\n0,"open\n{rows}', max_field=10_000)
    assert [each[:2] for each in found if each[1]] == [("line 2", "unclosed_quote")]
    assert len(found) == 5001


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_a_broken_quote_is_found_whatever_ends_the_lines(tmp_path, end):
    found = await read(tmp_path, end.join(["id,t", '1,"a"b', '2,"c', '3,"d', 'e"', "4,f", ""]))
    assert [(position, code) for position, code, _ in found] == [
        ("line 2", "broken_quote"),
        ("line 3", "broken_quote"),
        ("line 4", OK),
        ("line 6", OK),
    ]
    assert found[2][2]["t"] == f"d{end}e"


async def test_a_carriage_return_outside_quotes_keeps_its_line_back(tmp_path):
    found = await read(tmp_path, "id,t\n1,a\rb\n2,c\n")
    assert [each[:2] for each in found] == [("line 2", "bad_csv"), ("line 3", OK)]
    assert found[0][2] == {"raw": "1,a\rb"}


async def test_quotes_that_are_escaped_otherwise_can_be_declared(tmp_path):
    content = 'id,t\n1,"a \\"b\\", c"\n2,"d"e"\n'
    assert [each[1] for each in await read(tmp_path, content)] == ["broken_quote", "broken_quote"]
    found = await read(tmp_path, content, escapechar="\\")
    assert found == [("line 2", OK, {"id": "1", "t": 'a "b", c'}), ("line 3", "broken_quote", {"raw": '2,"d"e"'})]


async def test_spaces_after_a_delimiter_can_be_left_out(tmp_path):
    (record,) = await read(tmp_path, 'id, t\n1, "a, b"\n', skip_initial_space=True)
    assert record == ("line 2", OK, {"id": "1", "t": "a, b"})


def _written(rows: list[list[str]], end: str) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end).writerows(rows)
    return buffer.getvalue()


FIELD = st.text(st.sampled_from('ab,"\n\r; é\u2028'), max_size=6)
ROW = st.tuples(FIELD, FIELD).map(list)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.one_of(ROW.map(lambda row: _written([row], "\n")), st.text('ab,"\n', max_size=8)), max_size=12),
    pages=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
async def test_whatever_the_file_holds_the_same_records_are_read_in_pages_of_any_size(tmp_path_factory, lines, pages):
    folder = tmp_path_factory.mktemp("x")
    content = "id,t\n" + "".join(lines)
    whole = await read(folder, content)
    for page in pages:
        assert await read(folder, content, page) == whole
    assert len({position for position, *_ in whole}) == len(whole)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=8), broken=st.integers(0, 7), end=st.sampled_from(["\n", "\r\n"]))
async def test_rows_in_are_records_out_and_kept_back(tmp_path_factory, rows, broken, end):
    """The file holds good rows that are quoted throughout, one of them with text after its closing quote."""
    good = [[f"k{at}", row[1]] for at, row in enumerate(rows)]
    quoted = [",".join('"' + field.replace('"', '""') + '"' for field in row) for row in good]
    at = broken % len(quoted)
    one_line = "\n" not in quoted[at] and "\r" not in quoted[at]
    quoted[at] += "x"
    found = await read(tmp_path_factory.mktemp("x"), end.join(["id,t", *quoted, ""]))
    sound = {each[2]["id"]: each[2]["t"] for each in found if each[1] is None and each[2]["id"].startswith("k")}
    assert sound == {key: text for place, (key, text) in enumerate(good) if place != at}
    assert sum(each[1] is not None for each in found) >= 1
    if one_line:
        assert len(found) == len(rows)
