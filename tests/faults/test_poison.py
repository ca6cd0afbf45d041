"""One record that raises, kills its worker, or hangs: it alone is kept back, whatever it does to the process."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_dev.waiting import within
from support import poison
from support.books import assert_balanced
from support.clients import ended, request_of
from support.command import loom, runs
from support.poison import POISON
from support.projects import ids, project, python, review_ids

RECORDS = 40
CODE = f"""{poison.CODE}
def hangs_often(record):
    if record["id"] < "r000010":
        time.sleep(3600)
    return {{"mood": "good"}}

def score_kills(output, record):
    if record["id"] == "{POISON}":
        ctypes.CDLL(None)._exit(70)
    return 1.0
"""
FINE = [each for each in review_ids(RECORDS) if each != POISON]


def kept(report) -> dict[str, int]:
    return {name: report["records"][name] for name in ("extracted", "loaded", "quarantined")}


async def resumed_until_it_ends(folder, attempts: int = 8):
    """Run the pipeline, and resume the run as often as its process dies; its last end and how often it died."""
    ended = await loom(folder, "run", "pipeline.yaml", "--format", "json")
    deaths = 0
    while ended.code == 70 and deaths < attempts:
        deaths += 1
        ended = await loom(folder, "resume", runs(folder)[-1], "--format", "json")
    return ended, deaths


def quarantined(folder) -> list[tuple[str, str, str, str]]:
    """Record, code, stage and reason of everything kept back."""
    with closing(sqlite3.connect(folder / ".loom" / "loom.db")) as database:
        columns = "record_id, code, failure_stage, failure_reason"
        return database.execute(f"SELECT {columns} FROM quarantined_records ORDER BY record_id").fetchall()


def marks(folder) -> int:
    with closing(sqlite3.connect(folder / ".loom" / "journal.db")) as database:
        return database.execute("SELECT count(*) FROM batch_marks").fetchone()[0]


async def test_a_record_that_always_raises_is_kept_back_alone(tmp_path):
    made = project(tmp_path, RECORDS, transform=python("transforms:raises"), code=CODE, extract={"batch_size": 10})

    end = await loom(made.folder, "run", "pipeline.yaml", "--format", "json")

    assert kept(end.report) == {"extracted": RECORDS, "loaded": RECORDS - 1, "quarantined": 1}
    assert ids(await made.loaded()) == FINE
    assert [row[:3] for row in quarantined(made.folder)] == [(POISON, "transform_error", "transform")]


@pytest.mark.parametrize("stage", ["transform", "evaluate"])
async def test_a_record_that_kills_the_embedded_engine_is_found_by_resuming(tmp_path, stage):
    evaluators = [{"type": "python", "function": "transforms:score_kills", "threshold": 0.5}]
    made = project(
        tmp_path,
        RECORDS,
        transform=python("transforms:kills" if stage == "transform" else "transforms:raises"),
        evaluate={"evaluators": evaluators} if stage == "evaluate" else None,
        code=CODE.replace('raise ValueError("cannot be judged")', "pass"),
        extract={"batch_size": 10},
    )

    end, deaths = await resumed_until_it_ends(made.folder)

    assert deaths == 3
    assert kept(end.report) == {"extracted": RECORDS, "loaded": RECORDS - 1, "quarantined": 1}, end.err
    assert ids(await made.loaded()) == FINE
    [(*record, reason)] = quarantined(made.folder)
    assert record == [POISON, "poison", stage]
    assert "2 times" in reason
    assert marks(made.folder) == 0


async def test_a_record_that_hangs_is_kept_back_alone(tmp_path):
    made = project(tmp_path, RECORDS, transform=python("transforms:hangs"), code=CODE, extract={"batch_size": 10})
    made.say(timeouts={"record": "1s"})

    end = await loom(made.folder, "run", "pipeline.yaml", "--format", "json")

    assert kept(end.report) == {"extracted": RECORDS, "loaded": RECORDS - 1, "quarantined": 1}, end.err
    assert ids(await made.loaded()) == FINE
    assert [row[:3] for row in quarantined(made.folder)] == [(POISON, "timeout", "transform")]


async def test_too_many_records_that_hang_fail_an_embedded_run_which_resumes_without_them(tmp_path):
    code = CODE.replace(f'record["id"] == "{POISON}"', 'record["id"] < "r000005"')
    made = project(tmp_path, RECORDS, transform=python("transforms:hangs"), code=code, extract={"batch_size": 10})
    made.say(timeouts={"record": "1s"})  # longer than a busy machine keeps a record that does not hang
    environ = {"LOOM_WORKER_LEAKED_THREADS": "3"}

    first = await loom(made.folder, "run", "pipeline.yaml", "--format", "json", environ=environ)
    second = await loom(made.folder, "resume", runs(made.folder)[-1], "--format", "json", environ=environ)

    assert (first.code, first.report["status"]) == (1, "failed"), first.err
    assert "3 threads of this process hang" in first.report["error"]
    assert "loom resume" in first.report["error"]
    assert (second.code, kept(second.report)) == (0, {"extracted": RECORDS, "loaded": RECORDS - 5, "quarantined": 5})
    assert [row[:2] for row in quarantined(made.folder)] == [(each, "timeout") for each in review_ids(5)]


@asynccontextmanager
async def kept_running(cluster):
    """Start whatever ends again, as a supervisor would."""

    async def keep() -> None:
        while True:
            with contextlib.suppress(AssertionError):  # it ended again before it served
                await cluster.serve()
            await asyncio.sleep(0.1)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def run_in(cluster, made) -> dict:
    """Return the report of a run in a cluster whose services are started again when they end."""
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        async with kept_running(cluster), within(150):
            finished = await ended(session, run_id)
    report = finished.report.model_dump()
    assert_balanced(report)
    return report


def project_in(cluster, function: str):
    return project(
        cluster.project / function,
        RECORDS,
        name=function,
        transform=python(f"transforms:{function}"),
        code=CODE,
        destination=f"${{RESULTS}}?table={function}",
        extract={"batch_size": 10},
    )


@pytest.mark.timeout(300)
async def test_a_record_that_kills_its_transformer_is_found_by_starting_it_again(cluster):
    made = project_in(cluster, "kills")

    report = await run_in(cluster, made)

    assert kept(report) == {"extracted": RECORDS, "loaded": RECORDS - 1, "quarantined": 1}
    assert ids(await made.loaded(cluster.credentials)) == FINE


@pytest.mark.timeout(300)
async def test_a_transformer_that_hangs_in_too_many_threads_is_replaced(cluster):
    made = project_in(cluster, "hangs_often")
    made.say(timeouts={"record": "0.5s"})

    report = await run_in(cluster, made)

    assert kept(report) == {"extracted": RECORDS, "loaded": RECORDS - 10, "quarantined": 10}
    assert ids(await made.loaded(cluster.credentials)) == review_ids(RECORDS)[10:]
    assert "8 threads of this process hang" in cluster.troubles()
