"""Tests what becomes of JSON Lines files that are not as they should be."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import InvalidDefinition
from loom_connectors.files import text_lines
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source


def source(folder, content: bytes, **options):
    (folder / "x.jsonl").write_bytes(content)
    return open_source(ExtractConfig(source="x.jsonl", options=options), ConnectorContext(folder, Credentials({})))


async def read(folder, content: bytes, **options):
    return (await source(folder, content, **options).read(None, 1000)).records


async def test_a_line_cut_in_half_is_kept_with_its_text(tmp_path):
    records = await read(tmp_path, b'{"id": 1}\n\n{"id": 2, "te\n{"id": 3}')
    assert [record.position for record in records] == ["line 1", "line 3", "line 4"]
    broken = records[1]
    assert (broken.error.code, broken.data) == ("bad_json", {"raw": '{"id": 2, "te'})
    assert "x.jsonl line 3 column 14" in str(broken.error)
    assert records[2].data == {"id": 3}


@pytest.mark.parametrize(
    ("line", "kind"), [("[1]", "a list"), ('"a"', "a text"), ("1", "a number"), ("null", "null"), ("true", "a boolean")]
)
async def test_a_line_that_is_no_object_is_kept(tmp_path, line, kind):
    (record,) = await read(tmp_path, line.encode())
    assert (record.error.code, record.data) == ("bad_json", {"raw": line})
    assert kind in str(record.error)


async def test_a_byte_that_is_not_utf8_keeps_its_record_alone(tmp_path):
    records = await read(tmp_path, b'{"a": "\xe9"}\n{"a": "b"}\n')
    assert [record.error and record.error.code for record in records] == ["encoding", None]
    assert "x.jsonl line 1: byte 0xe9 at byte offset 7" in str(records[0].error)


async def test_a_declared_encoding_is_used(tmp_path):
    (record,) = await read(tmp_path, '{"a": "é"}'.encode("cp1252"), encoding="cp1252")
    assert record.data == {"a": "é"}


async def test_an_endless_line_is_kept_in_part_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 1000)
    monkeypatch.setattr(text_lines, "LONGEST_PIECE", 250)
    records = await read(tmp_path, b'{"a": "' + b"x" * 5000 + b'"}\n{"a": "b"}\n')
    assert [record.error and record.error.code for record in records] == ["line_too_long", None]
    assert [record.position for record in records] == ["line 1", "line 2"]
    assert len(records[0].data["raw"]) == 1000


async def test_an_empty_file_has_no_records(tmp_path):
    page = await source(tmp_path, b"").read(None, 10)
    assert (list(page.records), page.end) == ([], True)


def test_an_unknown_option_is_a_mistake(tmp_path):
    with pytest.raises(InvalidDefinition, match="delimiter"):
        source(tmp_path, b"", delimiter=",")
