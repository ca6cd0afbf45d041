"""Tests what becomes of CSV files that are not as they should be, and of their dialects."""

from __future__ import annotations

import os
import socket

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import ConfigurationError, InvalidDefinition, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source


def source(folder, content: bytes | str | None = None, *, name: str = "x.csv", key=None, **options):
    if content is not None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_source(ExtractConfig(source=name, key=key, options=options), ConnectorContext(folder, Credentials({})))


async def read(folder, content, **options):
    return (await source(folder, content, **options).read(None, 1000)).records


async def test_values_stay_text(tmp_path):
    (record,) = await read(tmp_path, "id,n,empty\n007,1.50,\n")
    assert record.data == {"id": "007", "n": "1.50", "empty": ""}
    assert record.position == "line 2"


async def test_a_ragged_row_is_kept_with_its_line(tmp_path):
    records = await read(tmp_path, 'id,text\n1,"a\nb"\n2\n\n3,c,d\n4,e\n')
    assert [record.position for record in records] == ["line 2", "line 4", "line 6", "line 7"]
    short, long = records[1], records[2]
    assert (short.error.code, short.data) == ("ragged_row", {"id": "2"})
    assert "x.csv line 4: 1 field, expected 2 (id, text)" in str(short.error)
    assert (long.error.code, long.data) == ("ragged_row", {"id": "3", "text": "c", "_surplus": ["d"]})
    assert records[3].error is None


async def test_a_byte_that_is_not_utf8_keeps_its_record_alone(tmp_path):
    records = await read(tmp_path, b"id,text\n1,fine\n2,caf\xe9\n3,fine\n")
    assert [record.error and record.error.code for record in records] == [None, "encoding", None]
    assert records[1].data == {"id": "2", "text": "caf\\xe9"}
    for part in ("x.csv line 3", "0xe9", "byte offset 20", "options: {encoding: ...}"):
        assert part in str(records[1].error)


async def test_a_declared_encoding_is_used(tmp_path):
    (record,) = await read(tmp_path, b"id,text\n1,caf\xe9\n", encoding="latin-1")
    assert record.data["text"] == "café"


async def test_a_header_in_the_wrong_encoding_stops_the_source(tmp_path):
    with pytest.raises(SourceError, match=r"x\.csv line 1: byte 0xe9 at byte offset 1 .*encoding"):
        await source(tmp_path, b"t\xe9xt\n1\n").check()


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
async def test_a_byte_order_mark_tells_the_encoding(tmp_path, mark):
    (record,) = await read(tmp_path, "id,text\n1,ü\n".encode(mark))
    assert record.data == {"id": "1", "text": "ü"}


async def test_utf16_without_a_mark_can_be_declared(tmp_path):
    (record,) = await read(tmp_path, "id\n\u0a0a\n".encode("utf-16-le"), encoding="utf-16")
    assert record.data == {"id": "\u0a0a"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_the_delimiter_is_seen_in_the_first_line(tmp_path, delimiter):
    (record,) = await read(tmp_path, f'"a,;b"{delimiter}c{delimiter}d\n1{delimiter}2{delimiter}3\n')
    assert record.data == {"a,;b": "1", "c": "2", "d": "3"}


async def test_a_delimiter_and_a_quotechar_can_be_set(tmp_path):
    (record,) = await read(tmp_path, "a#b,c\n'x#y'#z\n", delimiter="#", quotechar="'")
    assert record.data == {"a": "x#y", "b,c": "z"}


async def test_without_a_header_the_columns_are_named_by_option(tmp_path):
    records = await read(tmp_path, "1,a\n2,b\n", header=False, columns=["id", "text"])
    assert [record.data["id"] for record in records] == ["1", "2"]
    assert records[0].position == "line 1"


async def test_columns_replace_a_header_with_a_name_twice(tmp_path):
    with pytest.raises(SourceError, match="the column 'a' stands twice"):
        await read(tmp_path, "a,a\n1,2\n")
    (record,) = await read(tmp_path, "a,a\n1,2\n", columns=["a", "b"])
    assert record.data == {"a": "1", "b": "2"}


async def test_lines_may_end_in_a_carriage_return_alone(tmp_path):
    records = await read(tmp_path, "a,b\r1,2\r3,4\r")
    assert [record.data for record in records] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


async def test_a_nul_byte_keeps_its_record_alone(tmp_path):
    records = await read(tmp_path, b"id,t\n1,a\0b\n2,c\n")
    assert [record.error and record.error.code for record in records] == ["nul_byte", None]
    assert "x.csv line 2" in str(records[0].error)


async def test_a_quote_never_closed_costs_its_own_line_only(tmp_path):
    records = await read(tmp_path, 'id,t\n1,a\n2,"b\n3,c\n4,d\n')
    assert [record.error and record.error.code for record in records] == [None, "unclosed_quote", None, None]
    assert records[1].data == {"raw": '2,"b'}
    assert [record.position for record in records] == ["line 2", "line 3", "line 4", "line 5"]


async def test_a_field_too_long_costs_its_own_line_only(tmp_path):
    content = f"id,t\n1,{'x' * 200_000}\n2,b\n"
    records = await read(tmp_path, content)
    assert [record.error and record.error.code for record in records] == ["field_too_long", None]
    assert "max_field" in str(records[0].error)


async def test_an_empty_file_has_no_records(tmp_path):
    for content in ("", "\n\n", "id,text\n"):
        page = await source(tmp_path, content).read(None, 10)
        assert (list(page.records), page.end) == ([], True)


async def test_a_missing_file_is_named_with_its_host(tmp_path):
    with pytest.raises(SourceError) as raised:
        await source(tmp_path, name="gone.csv").check()
    for part in (str(tmp_path / "gone.csv"), socket.gethostname(), "extract.source"):
        assert part in str(raised.value)


async def test_a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(SourceError, match="A pipe, a socket or a device, of which nothing is read twice"):
        await source(tmp_path).check()


async def test_a_pattern_that_matches_nothing_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="matches no file"):
        await source(tmp_path, name="data/*.csv").check()


async def test_a_folder_where_a_file_is_named_is_an_error(tmp_path):
    (tmp_path / "data.csv").mkdir()
    with pytest.raises(SourceError, match=r"data\.csv on .* is a folder without a file of data"):
        await source(tmp_path, name="data.csv").check()


async def test_several_files_are_told_apart_by_name(tmp_path):
    for name in ("b.csv", "a.csv", ".hidden.csv"):
        (tmp_path / name).write_text(f"id\n{name}\n")
    records = await read(tmp_path, None, name="*.csv")
    assert [record.position for record in records] == ["a.csv line 2", "b.csv line 2"]


async def test_a_file_that_changes_under_the_run_is_an_error(tmp_path):
    reading = source(tmp_path, "id\n1\n2\n3\n")
    page = await reading.read(None, 1)
    (tmp_path / "x.csv").write_text("id\n1\n9\n3\n")
    with pytest.raises(SourceError, match="changed while the run was reading it"):
        await reading.read(page.cursor, 1)


async def test_files_that_come_under_the_run_are_an_error(tmp_path):
    reading = source(tmp_path, "id\n1\n2\n", name="b.csv")
    reading = source(tmp_path, name="*.csv")
    page = await reading.read(None, 1)
    (tmp_path / "a.csv").write_text("id\n0\n")
    with pytest.raises(SourceError, match=r"where b\.csv stood in the order of files, a\.csv stands now"):
        await reading.read(page.cursor, 1)


async def test_a_key_that_is_no_column_is_a_mistake(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no column 'idd'; it has id, text\. Did you mean 'id'\?"):
        await source(tmp_path, "id,text\n1,a\n", key="idd").check()


async def test_an_unknown_option_is_a_mistake_with_its_likely_meaning(tmp_path):
    with pytest.raises(InvalidDefinition) as raised:
        source(tmp_path, delimeter=";", encoding="utf-9")
    by_key = {problem.key: problem for problem in raised.value.problems}
    assert by_key["extract.options.delimeter"].suggestion == "delimiter"
    assert "utf-9" in by_key["extract.options.encoding"].found


@pytest.mark.parametrize(
    "options", [{"header": False}, {"columns": ["a", "a"]}, {"delimiter": ",,"}, {"encoding": "hex"}]
)
def test_options_that_make_no_sense_are_mistakes(tmp_path, options):
    with pytest.raises(InvalidDefinition):
        source(tmp_path, **options)


def test_a_query_is_not_for_files(tmp_path):
    with pytest.raises(ConfigurationError, match="query"):
        open_source(ExtractConfig(source="x.csv", query="SELECT 1"), ConnectorContext(tmp_path, Credentials({})))
