"""Tests objects of an S3 server: keys are checked, changes noticed, nothing is held whole, and one process works at a
time."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import obstore
import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.run.piece import Piece
from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    DependencyUnavailable,
    DestinationError,
    LoomError,
    SourceError,
)
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Destination, LoadBatch, Row
from loom_connectors.ports.source import Source
from loom_connectors.registry import open_destination, open_source
from loom_connectors.storage.objects import reader
from loom_connectors.storage.objects.patterns import is_read
from loom_dev.backends.ports import reserve_port
from loom_dev.backends.seaweedfs import BUCKET, READER
from support import object_locks
from support.buckets import KEYS, bucket_of
from support.file_contents import content_of, records_in
from support.pieces import pages_of, read_through

SECRET = "a-planted-secret-0123456789"
ROWS = [{"id": number, "text": f"row {number}"} for number in range(20)]


def context(environ, **changes) -> ConnectorContext:
    return ConnectorContext(Path(), Credentials({"env": EnvProvider({**environ, **changes})}))


def location(name: str, bucket: str = BUCKET) -> str:
    return f"s3://{bucket}/${{S3_FOLDER}}/{name}{KEYS}"


def source(environ, name: str, bucket: str = BUCKET, **changes) -> Source:
    return open_source(ExtractConfig(source=location(name, bucket)), context(environ, **changes))


def destination(environ, name: str, mode: str = "replace", **changes) -> Destination:
    return open_destination(LoadConfig(destination=location(name), mode=mode), context(environ, **changes))


async def load(opened: Destination, *rows, run: str = "run_1") -> None:
    await opened.load(LoadBatch(run, "b", 0, 0, 0, [Row(str(at), each) for at, each in enumerate(rows)]))
    await opened.finalize(run, complete=True)


@pytest.mark.parametrize("changes", [{"S3_SECRET": SECRET}, {"S3_KEY": SECRET}], ids=["secret", "key"])
async def test_wrong_keys_are_refused_in_plain_words_without_them(s3_environment, changes):
    bucket_of(s3_environment).put("in.csv", content_of("in.csv", ROWS))
    for opened in (
        source(s3_environment, "in.csv", **changes),
        source(s3_environment, "*.csv", **changes),
        destination(s3_environment, "out.csv", **changes),
    ):
        with pytest.raises(AccessRefused, match=r"refused the keys.*secret_access_key=\$\{S3_SECRET\}") as refused:
            await opened.check()
        told = f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"
        assert SECRET not in str(refused.value)
        assert s3_environment["S3_SECRET"] not in told


async def test_keys_that_may_only_read_are_refused_before_a_run(s3_environment):
    bucket_of(s3_environment).put("in.csv", content_of("in.csv", ROWS))
    await source(s3_environment, "in.csv", S3_KEY=READER).check()
    with pytest.raises(AccessRefused, match=r"out\.csv: the store refused the keys"):
        await destination(s3_environment, "out.csv", S3_KEY=READER).check()


@pytest.mark.parametrize(
    ("opened", "error", "words"),
    [
        (lambda environ: source(environ, "none.csv"), SourceError, "there is no such"),
        (lambda environ: source(environ, "none/*.csv"), SourceError, "no object matches"),
        (lambda environ: source(environ, "*.csv", bucket="no-such-bucket"), SourceError, "NoSuchBucket"),
    ],
)
async def test_what_is_not_there_is_told(s3_environment, opened, error, words):
    with pytest.raises(error, match=words):
        await opened(s3_environment).check()


async def test_a_name_with_brackets_is_an_object_where_it_exists(s3_environment):
    bucket = bucket_of(s3_environment)
    bucket.put("d1.csv", b"id\n1\n")
    (record,) = await read_through(source(s3_environment, "d[1].csv"))
    assert (record.data, record.position) == ({"id": "1"}, "d1.csv line 2")
    bucket.put("d[1].csv", b"id\n2\n")
    (record,) = await read_through(source(s3_environment, "d[1].csv"))
    assert (record.data, record.position) == ({"id": "2"}, "d[1].csv line 2")
    assert is_read("d[1].csv", "d[1].csv"), "and so it is no destination of a run that reads it"


async def test_a_server_that_is_away_may_come_back(s3_environment, monkeypatch):
    from loom_connectors.storage.objects import address

    monkeypatch.setattr(address, "_RETRIES", {"max_retries": 0})
    away = f"http://127.0.0.1:{reserve_port()}"
    with pytest.raises(DependencyUnavailable, match="could not be reached"):
        await source(s3_environment, "in.csv", S3_ENDPOINT=away).check()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("s3://bucket", "expected s3://bucket/name"),
        ("s3://bucket/", "expected s3://bucket/name"),
        ("s3://key:word@bucket/a.csv", "expected s3://bucket/name"),
        ("s3://bucket/a.csv?regoin=x", "unknown parameter 'regoin'.*Did you mean 'region'"),
    ],
)
def test_a_location_that_is_mistaken_is_told_before_it_is_asked(written, words):
    with pytest.raises(ConfigurationError, match=words) as refused:
        open_source(ExtractConfig(source="${X}", options={"format": "csv"}), context({"X": written}))
    assert "word@" not in str(refused.value)


async def test_an_object_that_changes_between_two_pages_is_noticed(s3_environment):
    bucket = bucket_of(s3_environment)
    bucket.put("in.csv", b"id\n1\n2\n")
    opened = source(s3_environment, "in.csv")
    page = await opened.read(None, 1)
    bucket.put("in.csv", b"id\n1\n3\n")
    with pytest.raises(SourceError, match=r"in\.csv changed while the run was reading it"):
        await opened.read(page.cursor, 1)


async def test_an_object_that_changes_while_a_page_is_read_is_noticed(s3_environment):
    bucket = bucket_of(s3_environment)
    bucket.put("in.bin", b"x" * 3_000_000)
    found = obstore.head(bucket.store, "in.bin")
    stream = reader.read_from(bucket.store, "in.bin", found["size"], found["e_tag"])
    assert stream.read(10) == b"x" * 10
    bucket.put("in.bin", b"y" * 3_000_000)
    stream.seek(2_500_000)
    with pytest.raises(reader.Changed):
        stream.read(10)


async def test_only_the_blocks_that_are_needed_are_read(s3_environment, monkeypatch):
    rows = [{"id": number, "text": f"{number:064}" * 20} for number in range(12_000)]
    bucket_of(s3_environment).put("in.csv", content_of("in.csv", rows))
    asked: list[int] = []
    fetched = reader.ObjectReader._fetched

    def counting(each, start, end):
        asked.append(end - start)
        return fetched(each, start, end)

    monkeypatch.setattr(reader.ObjectReader, "_fetched", counting)
    opened = source(s3_environment, "in.csv")
    page = await opened.read(None, 10)
    assert sum(asked) == reader.BLOCK
    await pages_of(opened, Piece(start=page.cursor), 1000)
    await opened.close()
    size = len(content_of("in.csv", rows))
    assert size <= sum(asked) < size * 1.2, "every block was read once"
    assert max(asked) <= reader.BLOCK


async def test_a_large_object_is_written_in_parts_and_read_back(s3_environment):
    rows = [{"id": number, "text": str(number) * 400} for number in range(12_000)]
    opened = destination(s3_environment, "out.jsonl")
    await load(opened, *rows)
    content = bucket_of(s3_environment).content("out.jsonl") or b""
    assert len(content) > 16 * 1024 * 1024
    assert records_in("out.jsonl", content) == rows
    assert [each.data for each in await read_through(source(s3_environment, "out.jsonl"))] == rows


@pytest.mark.parametrize("name", ["a b/ü=1/#?&+%.csv", "2024/day=2024-01-01/x.csv"])
async def test_names_of_every_kind_are_written_and_read(s3_environment, name):
    written = name.replace("%", "%25").replace("#", "%23").replace("?", "%3F")
    await load(destination(s3_environment, written), *ROWS)
    assert bucket_of(s3_environment).content(name) is not None
    assert len(await read_through(source(s3_environment, written))) == len(ROWS)


@pytest.mark.parametrize("name", ["n" * size + ".csv" for size in (200, 240, 255, 800, 880, 940, 1000)] + ["a\\b.csv"])
async def test_a_name_that_the_check_before_a_run_takes_can_be_loaded(s3_environment, name):
    opened = destination(s3_environment, name)
    try:
        await opened.check()
    except DestinationError as refused:
        assert re.search("the name is too long|a name of letters", str(refused))
    else:
        await load(opened, *ROWS, run="run_0123456789ab")
        assert len(await read_through(source(s3_environment, name))) == len(ROWS)


async def test_nothing_is_left_beside_a_result_but_its_manifest(s3_environment):
    await load(destination(s3_environment, "out.csv"), *ROWS)
    left = [path.rpartition("/")[2] for path in bucket_of(s3_environment).paths() if ".loom/" in path]
    assert left == ["run_1.json"]


async def test_one_process_at_a_time_holds_the_lock_and_one_that_died_is_followed(s3_environment, monkeypatch):
    await object_locks.one_at_a_time_holds_it_and_who_died_is_followed(bucket_of(s3_environment), monkeypatch)


async def test_a_lock_that_was_taken_over_is_told(s3_environment, monkeypatch):
    await object_locks.one_that_is_taken_over_is_told(bucket_of(s3_environment), monkeypatch)


async def test_an_appending_run_says_where_the_object_was_cut_short(s3_environment):
    opened = destination(s3_environment, "out.csv", mode="append")
    await load(opened, *ROWS)
    result = opened._result  # type: ignore[attr-defined]
    result.put("run_2.add", b"more")
    with pytest.raises(DestinationError, match="has become shorter"):
        result.append("run_2.add", 10**6)


CHILD = """
import asyncio, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination

async def main(location, mode):
    opened = open_destination(LoadConfig(destination=location, mode=mode), ConnectorContext(Path(), Credentials()))
    for position in range(20):
        rows = [Row(str(at), {"id": position * 50 + at, "text": "x" * 200}) for at in range(50)]
        await opened.load(LoadBatch("run_1", f"b{position}", 0, 0, position, rows))
        print("loaded", flush=True)
    await opened.finalize("run_1", complete=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("name", "mode"), [("out.parquet", "replace"), ("out.csv", "append")])
async def test_a_process_that_is_killed_while_it_loads_is_followed_by_one_that_loads_each_row_once(
    s3_environment, monkeypatch, name, mode
):
    for key, value in s3_environment.items():
        monkeypatch.setenv(key, value)

    def child(kill_after: int | None) -> int:
        process = subprocess.Popen([sys.executable, "-c", CHILD, location(name), mode], stdout=subprocess.PIPE)
        assert process.stdout is not None
        if kill_after is not None:
            for _ in range(kill_after):
                process.stdout.readline()
            process.kill()
        process.communicate()
        return process.returncode

    assert [await asyncio.to_thread(child, each) for each in (1, 13, None)] == [-9, -9, 0]
    content = bucket_of(s3_environment).content(name) or b""
    assert [int(each["id"]) for each in records_in(name, content)] == list(range(1000))


async def test_no_message_of_any_kind_holds_a_secret(s3_environment):
    """Whatever is wrong, what is told of it holds none of the keys."""
    environ = {**s3_environment, "S3_SECRET": SECRET, "S3_ENDPOINT": "http://127.0.0.1:1/%zz"}
    with pytest.raises(LoomError) as told:
        await source(environ, "in.csv").check()
    assert SECRET not in f"{told.value!r}{told.value.__cause__!r}{told.value.__context__}"
