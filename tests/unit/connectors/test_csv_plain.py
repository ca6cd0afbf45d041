"""Tests that lines which are divided many at once are divided as Python's reader divides them one by one."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loom_connectors.files.format import FilePosition, TextFile
from loom_connectors.files.text_lines import Encoding
from loom_connectors.formats.csv_reading import plain as csv_plain
from loom_connectors.formats.csv_reading.broken import Dialect
from loom_connectors.formats.csv_reading.plain import PlainLines
from loom_connectors.formats.csv_reading.records import CsvReader

UTF_8 = Encoding("utf-8", 0, b"\n")
WORDS = st.sampled_from(["a", "", "two words", "é", "\u2028", "[", "]", "{}", ",null,", "1e5", "\x7f", "long " * 9])
ODD = st.sampled_from(["\\", "\\n", "\t", "\0", "\x01", "\r", "\n", '"', '""', "'", "\ud800", ",", ";", "\r\n", " "])
FIELDS = st.lists(WORDS, min_size=2, max_size=2)
PLAIN = FIELDS.map(",".join)
QUOTED = st.tuples(WORDS, st.lists(WORDS | st.sampled_from(["\n", "\r\n", '""', ","])).map("".join)).map(
    lambda each: f'{each[0].replace(",", "")},"{each[1]}"'
)
NOISE = st.lists(WORDS | ODD, max_size=6).map("".join)
LINES = st.lists(
    st.tuples(PLAIN | PLAIN | PLAIN | QUOTED | NOISE, st.sampled_from(["\r\n", "\r\n", "\n"])), max_size=30
)


def dialects():
    quote, escape, skip = st.sampled_from(['"', '"', "'", None]), st.sampled_from([None, None, "\\"]), st.booleans()
    return st.builds(Dialect, st.just(","), quote, escape, skip)


def read(content: bytes, dialect: Dialect, limit: int = 1000, most: int = 1000, null=()):
    """Return what is read of a file with two columns, in pages of `limit` records, and where each page ends."""
    settings = {"encoding": None, "delimiter": ",", "header": False, "columns": ("one", "two")}
    reader = CsvReader(dialect, **settings, null_values=null, max_field=most)
    file = TextFile(io.BytesIO(content), "t.csv", "", encoding=UTF_8)
    mark, found = FilePosition(), []
    while mark.offset < file.size:
        records, mark = reader.read(file, mark, limit)
        found += [(each.position, each.data, str(each.error), getattr(each.error, "details", None)) for each in records]
        found.append(mark)
    return found


@pytest.fixture(autouse=True)
def _limit_of_fields():
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@settings(max_examples=600, deadline=None)
@given(LINES, dialects(), st.integers(1, 40), st.sampled_from([8, 1000]), st.sampled_from([(), ("", "a")]))
def test_any_file_is_read_as_if_python_divided_all_of_it(lines, dialect, limit, most, null):
    content = "".join(text + end for text, end in lines).encode("utf-8", "surrogatepass")
    found = read(content, dialect, limit, most, null)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainLines, "divided", lambda *_: None)
        patch.setattr(PlainLines, "through_quotes", lambda _, lines: len(lines))
        assert found == read(content, dialect, limit, most, null)


def divided(text: str, columns: int = 2, **changes):
    """Return how many lines are divided, where their records start, and their fields."""
    dialect = Dialect(**{"delimiter": ",", "quotechar": '"', **changes})
    found = PlainLines(dialect, UTF_8, columns, 100).divided(
        text.encode("utf-8", "surrogatepass").splitlines(keepends=True)
    )
    return None if found is None else (found.lines, list(found.starts), [list(row[:2]) for row in found.rows])


def test_lines_without_quotes_are_divided_whatever_they_end_in():
    assert (
        divided("a,b\nc,é\n")
        == divided("a,b\r\nc,é\r\n")
        == divided("a,b\nc,é")
        == (2, [0, 1], [["a", "b"], ["c", "é"]])
    )


def test_records_with_quotes_stand_among_the_others_where_they_began():
    text = 'a,b\nc,"d\n, e"\nf,g\n"h",i\n' + "j,k\n" * 3
    rows = [["a", "b"], ["c", "d\n, e"], ["f", "g"], ["h", "i"], *[["j", "k"]] * 3]
    assert divided(text) == (8, [0, 1, 3, 4, 5, 6, 7], rows)


def test_the_last_record_is_left_where_it_may_go_on():
    assert divided('a,b\nc,d\n"e\nf,g\n') == (2, [0, 1], [["a", "b"], ["c", "d"]])


UNEXPECTED = ["a\n", "a,b,c\n", "\n", "a\\n,b\n", "a\t,b\n", "a,b\r\n", "a\r,\n", "\0,b\n", "\ud800,b\n"]
QUOTED_WRONGLY = ['a"b,c\nd"e,f\n', 'a"b,"c\nd"\nx"y,z\n', 'a,"b"c\n', '"a","b","c"\n', '"a\0",b\n', '"\ud800",b\n']
TOO_LONG = ["a," + "x" * 100 + "\n", 'a,"' + "x\n" * 60 + '"\n']


@pytest.mark.parametrize("line", [*UNEXPECTED, *QUOTED_WRONGLY, *TOO_LONG])
def test_python_tells_what_lines_are_that_are_not_as_expected(line):
    assert divided("a,b\n" * 9 + line + "a,b\n") is None


@pytest.mark.parametrize("line", ["a\rb,\r\n", "a\rb\r\n", "a,b\rc\n", "a,b\r\r\n", "a,b\n", "a\r,b\n", "\r\n"])
def test_a_carriage_return_that_ends_no_line_is_told_by_python(line):
    assert divided("a,b\r\n" * 3 + line + "a,b\r\n") is None


@pytest.mark.parametrize(
    "changes", [{"escapechar": "\\"}, {"skip_initial_space": True}, {"quotechar": None}, {"quotechar": "é"}]
)
def test_files_that_are_written_in_rare_ways_are_left_to_python(changes):
    assert divided("a,b\n" * 9, **changes) is None


def test_an_empty_line_is_no_record_of_one_column():
    assert divided("a\n\nb\n", columns=1) is None


def test_a_file_of_which_most_is_quoted_is_left_to_python():
    assert divided('"a","b"\n' * 3 + "a,b\n" * 2) is None


def test_of_a_usual_file_python_divides_what_is_quoted_alone(monkeypatch):
    given = []
    usual = csv_plain.reader
    monkeypatch.setattr(csv_plain, "reader", lambda lines, dialect: usual(noted(lines, given), dialect))
    content = b"".join(b'%d,"two\r\nlines"\r\n' % at if at % 9 == 0 else b"%d,b\r\n" % at for at in range(2000))
    found = read(content, Dialect(",", '"'))
    assert [each[1]["one"] for each in found if isinstance(each, tuple)] == [str(at) for at in range(2000)]
    assert len(given) > 400
    assert all("," not in line or line.endswith(',"two\r\n') for line in given)


def noted(lines, given):
    for line in lines:
        given.append(line)
        yield line
