"""Bad input, and what it gets: words that name the place and the remedy, the one record set aside, the rest loaded."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from loom import Loom
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunFinished, RunProgress
from loom_dev.backends.ports import reserve_port
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of, until
from support.projects import Project, ai, ids, project, review_ids
from support.simulated_model import SimulatedModel, simulated_process

JSON = ("--format", "json")


def refused(loom, *arguments: str) -> str:
    """What a command that cannot begin says."""
    told = loom(*(arguments or ("run", "pipeline.yaml")))
    assert (told.code, told.out) == (2, ""), told
    assert "Traceback" not in told.err
    return told.err


def failed(loom) -> str:
    """What a run says that began and could not go on."""
    told = loom("run", "pipeline.yaml", *JSON)
    assert told.code == 1, told
    assert "Traceback" not in told.err
    assert_balanced(told.report)
    assert told.report["status"] == "failed"
    return str(told.report["error"])


def kept(loom, *, loaded: int) -> list[dict[str, Any]]:
    """The records that a run set aside while it loaded the others; one that loaded none failed."""
    told = loom("run", "pipeline.yaml", *JSON)
    assert told.code == (0 if loaded else 1), told
    assert "Traceback" not in told.err
    assert_balanced(told.report)
    found = loom("quarantine", "list", *JSON).report
    assert (told.report["records"]["loaded"], told.report["records"]["quarantined"]) == (loaded, len(found))
    return sorted(found, key=lambda record: str(record["failure_reason"]))


def only(records: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(records) == 1, records
    return records[0]


# --- the source ---------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_its_machine(loom, tmp_path):
    project(tmp_path, source="revews.csv")
    words = refused(loom)
    assert f"{tmp_path / 'revews.csv'} on {socket.gethostname()}: No such file or directory" in words
    assert "correct extract.source" in words


def test_a_file_that_goes_missing_before_the_worker_reads_it_fails_the_run_alike(loom, tmp_path, monkeypatch):
    """The SDK asks nothing beforehand: the worker finds out."""
    made = project(tmp_path, source="revews.csv")
    result = asyncio.run(_run(made))
    assert result.status == "failed"
    assert "revews.csv" in str(result.report.error)
    assert "correct extract.source" in str(result.report.error)


async def _run(made: Project):
    loom = Loom()
    return await loom.run_pipeline(loom.load_pipeline(made.pipeline))


def test_a_ragged_row_is_kept_with_its_line(loom, tmp_path):
    project(tmp_path).path("reviews.csv").write_text(
        "id,review,stars\na,fine,1\nb,ragged\nc,too,many,cells\nd,good,2\n"
    )
    short, long = kept(loom, loaded=2)
    for record, line, data in (
        (short, 3, {"id": "b", "review": "ragged"}),
        (long, 4, {"id": "c", "review": "too", "stars": "many", "_surplus": ["cells"]}),
    ):
        assert (record["failure_stage"], record["record_data"]) == ("extract", data)
        assert f"reviews.csv line {line}: " in record["failure_reason"]
        assert "expected 3 (id, review, stars)" in record["failure_reason"]
        assert record["error_details"]["line"] == line


def test_a_wrong_encoding_is_kept_with_its_byte_and_the_option_to_set(loom, tmp_path):
    made = project(tmp_path)
    made.path("reviews.csv").write_bytes("id,review,stars\na,fine,1\nb,café,2\nc,good,3\n".encode("latin-1"))
    record = only(kept(loom, loaded=2))
    assert record["failure_stage"] == "extract"
    assert "reviews.csv line 3: byte 0xe9 at byte offset 30 is not utf-8 text" in record["failure_reason"]
    assert "options: {encoding: ...}" in record["failure_reason"]
    assert record["record_data"] == {"id": "b", "review": "caf\\xe9", "stars": "2"}

    made.say(extract={**made.definition["extract"], "options": {"encoding": "latin-1"}})
    assert loom("run", "pipeline.yaml", *JSON).report["records"]["loaded"] == 3


def test_a_json_line_cut_in_half_is_kept_as_it_stands(loom, tmp_path):
    made = project(tmp_path, source="reviews.jsonl", destination="out.jsonl")
    made.path("reviews.jsonl").write_text('{"id": "a", "n": 1}\n{"id": "b", "n"\n{"id": "c", "n": 3}\n')
    record = only(kept(loom, loaded=2))
    assert record["failure_stage"] == "extract"
    assert "reviews.jsonl line 2" in record["failure_reason"]
    assert record["record_data"] == {"raw": '{"id": "b", "n"'}


@pytest.mark.parametrize("content", ["", "id,review,stars\n"])
def test_an_empty_source_is_a_succeeded_run_of_no_records(loom, tmp_path, content):
    made = project(tmp_path, destination="sqlite:///out.db?table=t")
    made.path("reviews.csv").write_text(content)
    told = loom("run", "pipeline.yaml", *JSON)
    assert told.code == 0, told.err
    assert (told.report["status"], set(told.report["records"].values())) == ("succeeded", {0})


def test_a_duplicate_key_keeps_the_second_record_and_names_the_first(loom, tmp_path):
    made = project(tmp_path)
    made.path("reviews.csv").write_text("id,review,stars\na,first,1\nb,other,1\na,second,2\n")
    record = only(kept(loom, loaded=2))
    assert record["failure_reason"] == "The key a at line 4 stood before at line 2; a key identifies one record."
    assert (record["failure_stage"], record["record_data"]["review"]) == ("extract", "second")


def test_a_record_without_its_key_is_kept_with_its_line(loom, tmp_path):
    made = project(tmp_path)
    made.path("reviews.csv").write_text("id,review,stars\na,first,1\n,other,1\n")
    record = only(kept(loom, loaded=1))
    assert "The key field 'id' is empty" in record["failure_reason"]
    assert "line 3" in record["failure_reason"]
    assert (record["failure_stage"], record["record_data"]["review"]) == ("extract", "other")


def test_a_key_that_is_no_column_is_refused_with_the_columns_there_are(loom, tmp_path):
    project(tmp_path, extract={"key": "idd"})
    words = refused(loom)
    expected = "expected a field of the source: id, review, stars. Did you mean 'id'?"
    assert f"extract.key: found 'idd'; {expected}" in words


# --- the transform ------------------------------------------------------------------------------------------------


def test_a_prompt_with_an_unknown_variable_is_refused_with_its_place(loom, tmp_path):
    made = project(tmp_path, transform=ai("http://127.0.0.1:20001/v1", prompt="prompts/ask.txt"))
    made.path("prompts").mkdir()
    made.path("prompts/ask.txt").write_text("Read this:\n{{ inptu.review }}\n")
    words = refused(loom)
    assert "prompts/ask.txt:2:4: found the unknown variable 'inptu'" in words
    assert "Did you mean 'input'?" in words


def test_a_prompt_that_names_a_field_the_record_lacks_keeps_the_record(loom, tmp_path):
    with simulated_process() as url:
        made = project(tmp_path, [], transform=ai(url, prompt="{{ input.remark }}"), source="notes.jsonl")
        made.path("notes.jsonl").write_text('{"id": "1", "remark": "Well"}\n{"id": "2", "review": "Well"}\n')
        record = only(kept(loom, loaded=1))
    assert record["failure_stage"] == "transform"
    assert "input.remark, which is not there" in record["failure_reason"]


async def test_while_the_endpoint_is_down_the_run_waits_with_a_notice_and_then_goes_on(
    tmp_path, monkeypatch, clean_environ
):
    port = reserve_port()
    monkeypatch.setenv("LOOM_MODELS_ATTEMPTS", "1")
    monkeypatch.setenv("LOOM_BREAKER_OPEN_SECONDS", "1")
    made = project(tmp_path, 30, transform=ai(f"http://127.0.0.1:{port}/v1"), destination="out.jsonl")
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")
    model = SimulatedModel()

    async with open_session(config, cluster=False) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        waiting = await until(session, run_id, lambda progress: progress.notice is not None)
        assert isinstance(waiting, RunProgress)
        assert str(waiting.notice).startswith("transform ")
        assert f"http://127.0.0.1:{port}/v1" in str(waiting.notice)

        await model.start(port)
        try:
            finished = await ended(session, run_id)
        finally:
            await model.stop()

    assert isinstance(finished, RunFinished)
    assert_complete(finished.report.model_dump(), await made.loaded(), review_ids(30))
    assert model.calls == 30


def test_a_wrong_api_key_fails_the_run_and_resume_works_once_it_is_set(loom, tmp_path, monkeypatch):
    with simulated_process("--api-key", "sk-right") as url:
        made = project(tmp_path, 30, transform=ai(url, api_key="${MODEL_KEY}"), destination="out.jsonl")
        monkeypatch.setenv("MODEL_KEY", "sk-wrong-1234")
        told = loom("run", "pipeline.yaml", *JSON)
        error = told.report["error"]
        assert (told.code, told.report["records"]["loaded"]) == (1, 0)
        assert "Traceback" not in told.err
        assert url in error
        assert "MODEL_KEY" in error
        assert "sk-wrong-1234" not in told.err + told.out

        monkeypatch.setenv("MODEL_KEY", "sk-right")
        resumed = loom("resume", told.report["run_id"], *JSON)

    assert_complete(resumed.report, asyncio.run(made.loaded()), review_ids(30))


def test_an_api_key_that_is_not_set_is_refused_by_its_name(loom, tmp_path):
    project(tmp_path, transform=ai("http://127.0.0.1:20001/v1", api_key="${MODEL_KEY}"))
    assert "The credential ${MODEL_KEY} is not set. Set the environment variable MODEL_KEY" in refused(loom)


# --- the destination ----------------------------------------------------------------------------------------------


def test_a_place_where_nothing_can_be_written_fails_the_run_with_its_name(loom, tmp_path):
    """Not even root makes a file in /sys, so this holds for whoever runs the tests."""
    project(tmp_path, 5, destination="/sys/loom/out.csv")
    told = loom("run", "pipeline.yaml")
    assert told.code in (1, 2)
    assert "Traceback" not in told.err
    words = told.err + told.out
    assert "/sys" in words
    assert f"on {socket.gethostname()}" in words
    assert "name another place" in " ".join(words.split())


async def test_a_read_only_database_fails_the_run_and_resume_loads_once_it_can_be_written(
    tmp_path, monkeypatch, postgres_url, clean_environ
):
    monkeypatch.setenv("RESULTS", postgres_url)
    made = project(tmp_path, 30, destination="${RESULTS}?table=t")
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")
    await _set_read_only(postgres_url, read_only=True)

    async with open_session(config, cluster=False) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        stopped = (await ended(session, run_id)).report
        assert stopped.status == "failed"
        assert "read-only" in str(stopped.error)
        assert_balanced(stopped.model_dump())

    await _set_read_only(postgres_url, read_only=False)
    async with open_session(config, cluster=False) as session:
        await session.resume(run_id)
        finished = await ended(session, run_id)
    assert_complete(finished.report.model_dump(), await made.loaded({"RESULTS": postgres_url}), review_ids(30))


async def _set_read_only(url: str, *, read_only: bool) -> None:
    connection = await asyncpg.connect(url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(
        f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if read_only else 'off'}"
    )
    await connection.close()


def table(folder: Path, columns: str) -> None:
    with closing(sqlite3.connect(folder / "out.db")) as database:
        database.execute(f"CREATE TABLE t ({columns})")


def test_a_destination_that_lacks_a_column_is_told_with_the_columns_it_has(loom, tmp_path):
    project(tmp_path, 5, destination="sqlite:///out.db?table=t")
    table(tmp_path, "id TEXT PRIMARY KEY, review TEXT")
    error = failed(loom)
    assert "The table t has no column 'stars'; its columns are id, review" in error
    assert "ALTER TABLE" in error


def test_a_lacking_column_that_the_output_declares_is_told_before_the_run(loom, tmp_path):
    project(tmp_path, 5, transform=ai("http://127.0.0.1:20001/v1"), destination="sqlite:///out.db?table=t")
    table(tmp_path, "id TEXT PRIMARY KEY, mood TEXT")
    words = refused(loom)
    assert "The table t has no column 'confidence'; its columns are id, mood" in words


async def test_a_row_that_violates_a_constraint_is_kept_at_load_and_its_neighbours_load(
    tmp_path, monkeypatch, postgres_url, clean_environ
):
    monkeypatch.setenv("RESULTS", postgres_url)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE t (id text PRIMARY KEY, review text, stars text CHECK (id <> 'r000007'))")
    await connection.close()
    made = project(tmp_path, 30, destination="${RESULTS}?table=t", extract={"batch_size": 10})
    (tmp_path / "loom.yaml").touch()
    loom = Loom(tmp_path / "loom.yaml")

    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline))

    record = only(await loom.get_quarantined_records(run_id=result.run_id))
    assert (record["record_id"], record["failure_stage"]) == ("r000007", "load")
    assert "violates check constraint" in record["failure_reason"]
    assert record["record_data"]["id"] == "r000007"
    assert (result.status, result.report.records["loaded"]) == ("succeeded", 29)
    loaded = await made.loaded({"RESULTS": postgres_url})
    assert ids(loaded) == [each for each in review_ids(30) if each != "r000007"]


def test_a_row_that_violates_a_constraint_of_sqlite_is_kept_alike(loom, tmp_path):
    made = project(tmp_path, 30, destination="sqlite:///out.db?table=t", extract={"batch_size": 10})
    table(tmp_path, "id TEXT PRIMARY KEY CHECK (id <> 'r000007'), review TEXT, stars TEXT")
    record = only(kept(loom, loaded=29))
    assert (record["record_id"], record["failure_stage"]) == ("r000007", "load")
    assert "CHECK constraint failed" in record["failure_reason"]
    assert json.dumps(record["record_data"])
    assert "r000007" not in ids(asyncio.run(made.loaded()))
