"""Mode append adds bytes at the end of a file and changes none; what does not match is refused before the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, LoadResult, Row
from loom_connectors.registry import open_destination
from loom_connectors.storage import append as storage_append
from loom_connectors.storage import local_storage
from support.file_sources import source_of
from support.pieces import read_through

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}, "t": {"type": "string"}}}


class Killed(BaseException):
    """Ends the process here."""


def appending_to(folder: Path, name: str = "out.csv", schema=None, **options):
    config = LoadConfig(destination=name, mode="append", options=options)
    return open_destination(config, ConnectorContext(folder, Credentials({}), output_schema=schema))


def batch(*rows: dict, run: str = "run_1", position: int = 0) -> LoadBatch:
    return LoadBatch(run, f"b{position}", 0, 0, position, [Row(str(at), values) for at, values in enumerate(rows)])


async def append(folder: Path, content: bytes | None, *rows: dict, name: str = "out.csv", **options) -> LoadResult:
    """Return the result of a run that adds rows to a file; what was there must stay."""
    path = folder / name
    if content is not None:
        path.write_bytes(content)
    opened = appending_to(folder, name, **options)
    await opened.check()
    result = await opened.load(batch(*rows))
    await opened.finalize("run_1", complete=True)
    assert path.read_bytes().startswith(content or b"")
    return result


ROWS = ({"id": "2", "t": "b;c,d"}, {"id": "3", "t": "é"})


@pytest.mark.parametrize(
    ("content", "added"),
    [
        (None, 'id,t\n2,"b;c,d"\n3,é\n'.encode()),
        (b"", 'id,t\n2,"b;c,d"\n3,é\n'.encode()),
        (b"id,t\n1,a\n", '2,"b;c,d"\n3,é\n'.encode()),
        (b"id,t\n1,a", '\n2,"b;c,d"\n3,é\n'.encode()),
        (b"id,t\r\n1,a\r\n", '2,"b;c,d"\r\n3,é\r\n'.encode()),
        (b"id,t\r\n1,a", '\r\n2,"b;c,d"\r\n3,é\r\n'.encode()),
        (b"id,t\r1,a\r", '2,"b;c,d"\r3,é\r'.encode()),
        (b"t;id\na;1\n", '"b;c,d";2\né;3\n'.encode()),
        (b"id\tt\n1\ta\n", "2\tb;c,d\n3\té\n".encode()),
        (b"sep=;\nid;t\n1;a\n", '2;"b;c,d"\n3;é\n'.encode()),
        (b'"id","t"\n"1","a"\n', '2,"b;c,d"\n3,é\n'.encode()),
        (b"id,x,t\n1,,a\n", '2,,"b;c,d"\n3,,é\n'.encode()),
        (b"\xef\xbb\xbfid,t\n1,a\n", '2,"b;c,d"\n3,é\n'.encode()),
        ("\ufeffid,t\n1,a\n".encode("utf-16-le"), '2,"b;c,d"\n3,é\n'.encode("utf-16-le")),
        (b"id,t\n", '2,"b;c,d"\n3,é\n'.encode()),
    ],
)
async def test_rows_are_added_as_the_file_is_written(tmp_path, content, added):
    assert await append(tmp_path, content, *ROWS) == LoadResult(2)
    assert (tmp_path / "out.csv").read_bytes() == (content or b"") + added
    data = [record.data for record in await read_through(source_of(tmp_path, name="out.csv"))]
    assert [(each["id"], each["t"]) for each in data[-2:]] == [("2", "b;c,d"), ("3", "é")]


async def test_a_declared_encoding_is_the_files(tmp_path):
    result = await append(tmp_path, b"id,t\n1,\xe9\n", *ROWS, {"id": "4", "t": "\u4e00"}, encoding="latin-1")
    assert (tmp_path / "out.csv").read_bytes() == b'id,t\n1,\xe9\n2,"b;c,d"\n3,\xe9\n'
    assert [(row.record_id, row.code) for row in result.failed] == [("2", "encoding")]
    assert "holds U+4E00" in result.failed[0].reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,label\n1,a\n", "has no column 't'; it has id, label"),
        (b"1,a\n2,b\n", "has no column 'id', 't'; it has 1, a"),
        (b"id,t\n1,caf\xe9\n", "byte 0xe9"),
        (b'id,t\n1,a\n2,"b\n', "a quote is opened and never closed"),
        (b"id,id\n1,a\n", "stands twice"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip"),
        ("id,t\n1,a\n".encode("utf-16-le"), "utf-16-le"),
    ],
)
async def test_what_does_not_match_is_refused_before_the_run_with_what_differs(tmp_path, content, words):
    path = tmp_path / "out.csv"
    path.write_bytes(content)
    with pytest.raises(DestinationError) as raised:
        await appending_to(tmp_path, schema=SCHEMA).check()
    assert words in str(raised.value)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == content


async def test_a_declared_delimiter_that_is_not_the_files_is_refused(tmp_path):
    (tmp_path / "out.csv").write_bytes(b"id,t\n1,a\n2,b\n")
    with pytest.raises(DestinationError, match="divides nothing"):
        await appending_to(tmp_path, delimiter=";").check()


async def test_rows_with_a_column_that_the_file_lacks_are_not_counted_as_loaded(tmp_path):
    result = await append(tmp_path, b"id\n1\n", {"id": "2"}, {"id": "3", "extra": "x"})
    assert (result.loaded, [(row.record_id, row.code) for row in result.failed]) == (1, [("1", "missing_column")])
    assert (tmp_path / "out.csv").read_bytes() == b"id\n1\n2\n"


async def test_a_run_whose_rows_all_have_a_column_that_the_file_lacks_fails_with_it(tmp_path):
    (tmp_path / "out.csv").write_bytes(b"id\n1\n")
    with pytest.raises(DestinationError, match="has no column 'extra'; it has id"):
        await appending_to(tmp_path).load(batch({"id": "2", "extra": "x"}))


async def test_a_header_that_changes_under_the_run_is_refused_at_the_end(tmp_path):
    (tmp_path / "out.csv").write_bytes(b"id,t\n")
    opened = appending_to(tmp_path)
    await opened.load(batch(*ROWS))
    (tmp_path / "out.csv").write_bytes(b"id,label\n")
    with pytest.raises(DestinationError, match="has no column 't'"):
        await opened.finalize("run_1", complete=True)
    assert (tmp_path / "out.csv").read_bytes() == b"id,label\n"


async def test_null_and_empty_text_are_told_apart_in_whatever_the_file_looks_like(tmp_path):
    rows = ({"id": "2", "t": ""}, {"id": "3", "t": None})
    await append(tmp_path, b"id,t\n", *rows)
    assert (tmp_path / "out.csv").read_bytes() == b'id,t\n2,""\n3,\n'
    await append(tmp_path, b"t;id\r\n", *rows, name="other.csv")
    assert (tmp_path / "other.csv").read_bytes() == b't;id\r\n"";2\r\n;3\r\n'


@pytest.mark.parametrize(
    ("content", "added"),
    [
        (None, b'{"id":1}\n'),
        (b"", b'{"id":1}\n'),
        (b'{"id":0}\n', b'{"id":1}\n'),
        (b'{"id":0}', b'\n{"id":1}\n'),
        ('\ufeff{"id":0}'.encode("utf-16-le"), '\n{"id":1}\n'.encode("utf-16-le")),
    ],
)
async def test_json_lines_are_added_as_the_file_is_written(tmp_path, content, added):
    assert await append(tmp_path, content, {"id": 1}, name="out.jsonl") == LoadResult(1)
    assert (tmp_path / "out.jsonl").read_bytes() == (content or b"") + added


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"id": 1}]', "one JSON array"),
        (b'{"id": 1}\n{"id"', "the last line is cut off"),
        (b'{"id": "\xe9"}\n', "byte 0xe9"),
    ],
)
async def test_a_file_that_is_no_json_lines_is_refused_before_the_run(tmp_path, content, words):
    (tmp_path / "out.jsonl").write_bytes(content)
    with pytest.raises(DestinationError, match=words):
        await appending_to(tmp_path, "out.jsonl").check()


@pytest.mark.parametrize("moment", range(12))
async def test_a_run_killed_at_any_byte_is_finished_by_whoever_comes_next(tmp_path, monkeypatch, moment):
    """Killed after `moment` bytes of the addition, and the next to add something is another run."""
    path = tmp_path / "out.csv"
    path.write_bytes(b"id,t\n1,a\n")
    opened = appending_to(tmp_path)
    await opened.load(batch({"id": "2", "t": "bcd"}))

    def cut(target: Path, addition: Path, offset: int) -> bool:
        with target.open("ab") as stream:
            stream.write(addition.read_bytes()[:moment])
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(local_storage, "added", cut)
        with pytest.raises(Killed):
            await opened.finalize("run_1", complete=True)
    other = appending_to(tmp_path)
    await other.load(batch({"id": "3", "t": "e"}, run="run_2"))
    await other.finalize("run_2", complete=True)
    await appending_to(tmp_path).finalize("run_1", complete=True)
    assert path.read_bytes() == b"id,t\n1,a\n2,bcd\n3,e\n"
    assert not [each for each in (tmp_path / "out.csv.loom").iterdir() if each.suffix == ".add"]


async def test_what_another_program_wrote_in_the_meantime_stays(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_bytes(b"id,t\n")
    opened = appending_to(tmp_path)
    await opened.load(batch({"id": "2", "t": "b"}))

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(local_storage, "added", killed)
        with pytest.raises(Killed):
            await opened.finalize("run_1", complete=True)
    path.write_bytes(b"id,t\n9,theirs\n")
    await opened.finalize("run_1", complete=True)
    assert path.read_bytes() == b"id,t\n9,theirs\n2,b\n"


async def test_bytes_of_two_writers_in_one_place_are_told(tmp_path):
    path, addition = tmp_path / "out.csv", tmp_path / "x.add"
    addition.write_bytes(b"2,b\n")
    path.write_bytes(b"id,t\n2,c\n")
    with pytest.raises(DestinationError, match="Something else wrote"):
        storage_append.added(path, addition, 5)
    path.write_bytes(b"id")
    with pytest.raises(DestinationError, match="has become shorter"):
        storage_append.added(path, addition, 5)


async def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out.csv").symlink_to("real/data.csv")
    for mode in ("append", "replace"):
        opened = open_destination(
            LoadConfig(destination="out.csv", mode=mode), ConnectorContext(tmp_path, Credentials({}))
        )
        await opened.check()
        await opened.load(batch({"id": "1"}, run=mode))
        await opened.finalize(mode, complete=True)
        assert (tmp_path / "out.csv").is_symlink()
        assert (tmp_path / "real" / "data.csv").read_bytes() == b"id\n1\n"


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
async def test_permissions_and_owner_are_kept(tmp_path, mode, name):
    path = tmp_path / name
    path.write_bytes(b"id\n" if name == "out.csv" else b"")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    opened = open_destination(LoadConfig(destination=name, mode=mode), ConnectorContext(tmp_path, Credentials({})))
    await opened.load(batch({"id": "1"}))
    await opened.finalize("run_1", complete=True)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


async def test_where_the_owner_cannot_be_kept_the_file_is_written_over(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_bytes(b"id\n0\n")
    inode = path.stat().st_ino
    real = Path.stat

    def refused(*_):
        raise PermissionError

    class Foreign:
        def __init__(self, found):
            self.st_uid, self.st_gid, self.st_mode = found.st_uid + 1, found.st_gid, found.st_mode
            self.st_size, self.st_ino, self.st_mtime_ns = found.st_size, found.st_ino, found.st_mtime_ns

    with monkeypatch.context() as patched:
        patched.setattr(os, "chown", refused)
        patched.setattr(
            Path, "stat", lambda each, **given: Foreign(real(each, **given)) if each == path else real(each)
        )
        opened = open_destination(LoadConfig(destination="out.csv"), ConnectorContext(tmp_path, Credentials({})))
        await opened.load(batch({"id": "1"}))
        await opened.finalize("run_1", complete=True)
    assert (path.read_bytes(), path.stat().st_ino) == (b"id\n1\n", inode)


async def test_parts_of_a_private_file_are_private(tmp_path):
    path = tmp_path / "out.csv"
    path.write_bytes(b"id\n")
    path.chmod(0o600)
    opened = open_destination(LoadConfig(destination="out.csv"), ConnectorContext(tmp_path, Credentials({})))
    await opened.load(batch({"id": "1"}))
    assert (tmp_path / "out.csv.loom").stat().st_mode & 0o077 == 0


async def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "out.csv")
    opened = open_destination(LoadConfig(destination="out.csv"), ConnectorContext(tmp_path, Credentials({})))
    with pytest.raises(DestinationError, match="no regular file"):
        await opened.check()
