"""Tests documents that are read as a whole: YAML, TOML and Excel workbooks."""

from __future__ import annotations

import io
import zipfile

import pytest
import python_calamine as calamine

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import ConfigurationError, DestinationError, SourceError
from loom_connectors.formats.documents import excel, yaml
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, LoadResult, Row
from loom_connectors.registry import open_destination
from support.file_sources import outcome, source_of
from support.pieces import read_through

YAML_VALUES = """
- id: 1
  text: "«a»\\nb"
  half: 0.5
  big: 12345678901234567890123
  hex: 0x1F
  yes: yes
  on: true
  none: ~
  day: 2024-02-29
  at: 2024-02-29T10:00:00Z
  raw: !!binary AP8=
  list: [1, {a: b}]
- {id: 2, half: .inf}
"""


async def read(folder, content, name, page=1000, **options):
    source = source_of(folder, content, name=name, **options)
    await source.check()
    found = await read_through(source, page)
    await source.close()
    return [outcome(each) for each in found]


async def test_yaml_values_are_exact(tmp_path):
    first, second = await read(tmp_path, YAML_VALUES, "in.yaml", 1)
    assert first == (
        "item 1",
        None,
        {
            "id": 1,
            "text": "«a»\nb",
            "half": 0.5,
            "big": 12345678901234567890123,
            "hex": 31,
            "yes": "yes",
            "on": True,
            "none": None,
            "day": "2024-02-29",
            "at": "2024-02-29T10:00:00Z",
            "raw": {"$bytes": "00ff"},
            "list": [1, {"a": "b"}],
        },
    )
    assert second == ("item 2", None, {"id": 2, "half": "Infinity"})


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ("5", "bad_yaml"),
        ("{a: 0.1234567890123456789}", "inexact_number"),
        ("{a: 1, a: 2}", "duplicate_name"),
        ("{a: !odd 1}", "bad_yaml"),
        ("{a: !odd [1]}", "bad_yaml"),
        ("{a: !!set {b}}", "bad_yaml"),
        ("{a: !!int abc}", "bad_yaml"),
        ("{a: !!int ''}", "bad_yaml"),
        ("{a: !!float abc}", "bad_yaml"),
        ("{a: !!bool yes}", "bad_yaml"),
        ("{a: !!null x}", "bad_yaml"),
        ("{a: " + "9" * 5000 + "}", "bad_yaml"),
        ("{[1]: 2}", "bad_yaml"),
        ("{a: " + "[" * 120 + "]" * 120 + "}", "nested_too_deeply"),
    ],
)
async def test_a_bad_item_of_yaml_costs_one_record(tmp_path, item, code):
    found = await read(tmp_path, f"- id: 1\n- {item}\n- id: 3\n", "in.yml")
    assert [(position, why) for position, why, _ in found] == [("item 1", None), ("item 2", code), ("item 3", None)]
    assert found[1][2] == {"raw": item}


async def test_a_pair_of_escapes_in_yaml_is_one_character(tmp_path):
    [(_, _, data)] = await read(tmp_path, '[{"id": 1, "\\ud83d\\ude00": "a \\ud83d\\ude00"}]', "in.yaml")
    assert data == {"id": 1, "😀": "a 😀"}


async def test_yaml_may_be_several_documents(tmp_path):
    assert [data for _, _, data in await read(tmp_path, "id: 1\n---\nid: 2\n", "in.yaml")] == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: 1\nb: [", "line 2, column 5 cannot be read as YAML: while parsing a flow"),
        ("a: 1\n b: 2", "line 2, column 3 cannot be read as YAML: mapping values are not allowed here"),
        ("\x00", "cannot be read as YAML"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
    ],
)
async def test_what_is_no_yaml_is_told(tmp_path, content, words):
    with pytest.raises(SourceError, match=words):
        await read(tmp_path, content, "in.yaml")


async def test_aliases_that_multiply_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml, "_MOST_NODES", 10_000)
    bomb = "- a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for at in range(1, 9):
        bomb += f"  a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]\n"
    with pytest.raises(SourceError, match="more than 10,000 values"):
        await read(tmp_path, bomb, "in.yaml")


async def test_a_document_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml.YamlParser, "limit", 100)
    with pytest.raises(SourceError, match="read as a whole: at most 100"):
        await read(tmp_path, "- id: 1\n" * 100, "in.yaml")


TOML = """
title = "reviews"
[[reviews]]
id = 1
half = 0.5
day = 2024-02-29
at = 2024-02-29T10:00:00.5Z
list = [1, {a = "b"}]
[[reviews]]
id = 2
half = 0.1234567890123456789
[[reviews]]
id = 3
half = -inf
"""


async def test_the_tables_of_a_toml_file_are_records(tmp_path):
    first, second, third = await read(tmp_path, TOML, "in.toml")
    assert first[2] == {
        "id": 1,
        "half": 0.5,
        "day": "2024-02-29",
        "at": "2024-02-29T10:00:00.500000+00:00",
        "list": [1, {"a": "b"}],
    }
    assert (second[1], third[2]["half"]) == ("inexact_number", "-Infinity")
    assert second[2] == {"id": 2, "half": "0.1234567890123456789"}
    with pytest.raises(SourceError, match="cannot be read as TOML"):
        await read(tmp_path, f"[[a]]\nid = {'9' * 5000}\n", "in.toml")
    more = TOML + "[[others]]\nid = 9\n"
    with pytest.raises(SourceError, match=r"several arrays of tables \(reviews, others\)"):
        await read(tmp_path, more, "in.toml")
    assert [data for _, _, data in await read(tmp_path, more, "in.toml", records="others")] == [{"id": 9}]


@pytest.mark.parametrize("name", ["out.yaml", "out.toml"])
def test_documents_that_can_only_be_read_are_no_destination(tmp_path, name):
    with pytest.raises(ConfigurationError, match="can only be read"):
        open_destination(LoadConfig(destination=name), ConnectorContext(tmp_path, Credentials({})))


async def load(folder, *rows, mode="replace", name="out.xlsx", run="run_1", **options) -> LoadResult:
    config = LoadConfig(destination=name, mode=mode, options=options)
    opened = open_destination(config, ConnectorContext(folder, Credentials({})))
    await opened.check()
    result = await opened.load(LoadBatch(run, "b", 0, 0, 0, [Row(str(at), each) for at, each in enumerate(rows)]))
    await opened.finalize(run, complete=True)
    return result


EXCEL_ROWS = [
    {"id": 1, "text": "«a»\nb\t<&> _x000D_ ", "n": 0.30000000000000004, "yes": True, "none": None},
    {"id": -(2**53), "text": "=SUM(A1)", "n": 1e-300, "yes": False, "none": None},
    {"id": 0, "text": "007", "n": 0.5, "yes": None, "none": "x"},
]


async def test_a_workbook_is_written_and_read_back(tmp_path):
    assert (await load(tmp_path, *EXCEL_ROWS, sheet='"Re" & <views>')).loaded == 3
    book = calamine.CalamineWorkbook.from_path(str(tmp_path / "out.xlsx"))
    assert book.sheet_names == ['"Re" & <views>']
    for page in (1, 1000):
        found = await read(tmp_path, None, "out.xlsx", page)
        assert [data for _, _, data in found] == EXCEL_ROWS
        assert [position for position, _, _ in found] == ["row 2", "row 3", "row 4"]


async def test_a_page_of_a_workbook_is_read_again_from_its_cursor(tmp_path):
    await load(tmp_path, *({"id": number} for number in range(10)))
    source = source_of(tmp_path, name="out.xlsx")
    first = await source.read(None, 4)
    second = await source.read(first.cursor, 4)
    assert await source.read(None, 4) == first
    assert await source.read(first.cursor, 4) == second
    await source.close()


async def test_the_same_rows_make_the_same_workbook(tmp_path):
    for name in ("a.xlsx", "b.xlsx"):
        await load(tmp_path, *EXCEL_ROWS, name=name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


@pytest.mark.parametrize(
    ("value", "words"),
    [(2**53 + 1, "rounded"), ("x" * 32_768, "32,768 characters"), ("a\x08", "U+0008"), ("a\rb", "U+000D")],
)
async def test_what_a_cell_cannot_hold_fails_its_row_alone(tmp_path, value, words):
    result = await load(tmp_path, {"id": 1, "x": value}, {"id": 2})
    assert (result.loaded, [each.code for each in result.failed]) == (1, ["type"])
    assert words in result.failed[0].reason
    assert [data for _, _, data in await read(tmp_path, None, "out.xlsx")] == [{"id": 2}]


async def test_sheet_header_and_columns_are_chosen(tmp_path):
    await load(tmp_path, {"a": "title", "b": None}, {"a": "x", "b": "y"}, {"a": 1, "b": 2}, {"a": 3, "b": 4})
    rows = await read(tmp_path, None, "out.xlsx", skip_rows=2)
    assert [(position, data) for position, _, data in rows] == [
        ("row 4", {"x": 1, "y": 2}),
        ("row 5", {"x": 3, "y": 4}),
    ]
    rows = await read(tmp_path, None, "out.xlsx", skip_rows=3, header=False, columns=["p", "q"])
    assert [data for _, _, data in rows] == [{"p": 1, "q": 2}, {"p": 3, "q": 4}]
    with pytest.raises(ConfigurationError, match="no sheet 'other'; its sheets are Sheet1"):
        await read(tmp_path, None, "out.xlsx", sheet="other")
    with pytest.raises(ConfigurationError, match="name the `columns` beside"):
        await read(tmp_path, None, "out.xlsx", header=False)


async def test_a_row_with_more_cells_than_columns_is_kept_back_whole(tmp_path):
    await load(tmp_path, {"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": None})
    bad, good = await read(tmp_path, None, "out.xlsx", columns=["p", "q"])
    assert bad == ("row 2", "ragged_row", {"p": 1, "q": 2, "_surplus": [3]})
    assert good == ("row 3", None, {"p": 4, "q": 5})


async def test_no_rows_are_added_to_a_workbook(tmp_path):
    await load(tmp_path, {"id": 1})
    with pytest.raises(DestinationError, match="no rows are added"):
        await load(tmp_path, {"id": 2}, mode="append", run="run_2")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"id\n1\n"])
async def test_what_is_no_workbook_is_told(tmp_path, content):
    with pytest.raises(SourceError, match=r"no Excel workbook \(\.xlsx\).*format: csv"):
        await read(tmp_path, content, "in.xlsx")


async def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "_MOST_UNPACKED", 1_000_000)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", bytes(2_000_000))
    with pytest.raises(SourceError, match="2,000,000 unpacked"):
        await read(tmp_path, target.getvalue(), "in.xlsx")
