"""Tests pipelines with `mode: streaming`: whatever happens to them, each record is loaded once and paid for once."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.errors import ConfigurationError
from support.clients import request_of
from support.command import Command
from support.command import loom as loom_process
from support.projects import Project, ai
from support.simulated_model import SimulatedModel
from support.streamed import arrive, ids, ids_loaded, opened, state, stream_of, streaming, windows

EXAMPLE = Path(__file__).parents[2] / "examples" / "support_tickets"
PROMPT = "What is the mood of {{ input.id }}?"


def asked(model: SimulatedModel) -> Counter[str]:
    """Tell how often each record was asked about."""
    found: Counter[str] = Counter()
    for body in model.bodies:
        found.update(re.findall(r"t\d{5}", body["messages"][-1]["content"]))
    return found


async def test_each_window_is_a_run_and_a_drain_ends_the_stream_after_what_has_arrived(tmp_path):
    made = streaming(tmp_path)
    arrive(made, "a", range(12))
    async with opened(made) as stream:
        await stream.closed(1)
        arrive(made, "b", range(12, 25))
        await stream.drained()
    assert ids_loaded(made) == ids(range(25))
    assert windows(made) == [(1, "succeeded", 10), (2, "succeeded", 10), (3, "succeeded", 5)]
    assert [(each.window.number, each.records["loaded"]) for each in stream.reports] == [(1, 10), (2, 10), (3, 5)]
    assert state(made, "SELECT state FROM streams") == [("drained",)]


async def test_a_window_closes_so_long_after_its_first_record_and_none_while_its_source_is_quiet(tmp_path):
    made = streaming(tmp_path, window="100ms")
    async with opened(made) as stream:
        for number in (0, 1):
            arrive(made, f"f{number}", range(3 * number, 3 * number + 3))
            await stream.closed(number + 1)
    assert [each.records["loaded"] for each in stream.reports] == [3, 3]
    assert windows(made) == [(1, "succeeded", 3), (2, "succeeded", 3), (3, "paused", 0)]
    assert state(made, "SELECT count(*) FROM slices s JOIN pipeline_runs r USING (run_id) WHERE stream_window = 3") == [
        (1,)
    ]


async def test_a_stream_that_was_paused_goes_on_where_it_was(tmp_path):
    made = streaming(tmp_path)
    arrive(made, "a", range(14))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 14)
    assert windows(made)[-1][1] == "paused"
    arrive(made, "b", range(14, 17))
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(17))
    assert [status for _, status, _ in windows(made)] == ["succeeded", "succeeded"]
    arrive(made, "c", range(17, 19))
    async with opened(made) as stream:  # what is drained is opened again where it ended
        await stream.drained()
    assert ids_loaded(made) == ids(range(19))


async def test_a_killed_stream_goes_on_without_a_double_and_pays_for_no_call_twice(tmp_path, model):
    transform = ai(model.base_url, prompt=PROMPT, output={"mood": {"enum": ["good", "bad"]}})
    made = streaming(tmp_path, transform=transform, window={"every": "1h", "records": 16})
    model.hold_after(22)
    for number in range(4):
        arrive(made, f"f{number}", range(10 * number, 10 * number + 10))
    command = await Command.begin(made.folder, "run", "pipeline.yaml")
    assert await command.reach(lambda: len(model.bodies) > 22 and len(ids_loaded(made)) >= 16)
    await command.kill()
    with closing(sqlite3.connect(made.path(".loom/journal.db"))) as journal:
        ((known,),) = journal.execute("SELECT count(*) FROM journal")
    in_flight = len(model.bodies) - known
    assert known >= 16
    model.let_go()
    resumed = await Command.begin(made.folder, "resume", stream_of(made))
    assert await resumed.reach(lambda: len(ids_loaded(made)) == 40)
    drained = await loom_process(made.folder, "drain", stream_of(made))
    assert drained.code == 0, drained.err
    ended = await resumed.end()
    assert (ended.code, ended.out) == (0, "")
    assert "is drained after" in ended.err
    assert ids_loaded(made) == ids(range(40))
    again = sum(asked(model).values()) - 40
    assert set(asked(model)) == set(ids(range(40)))
    assert again <= in_flight
    assert [(status, records) for _, status, records in windows(made)] == [
        ("succeeded", 16),
        ("succeeded", 16),
        ("succeeded", 8),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_the_command_and_names_the_one_that_goes_on(tmp_path, number):
    made = streaming(tmp_path)
    arrive(made, "a", range(13))
    command = await Command.begin(made.folder, "run", "pipeline.yaml", "--format", "json")
    assert await command.reach(lambda: len(ids_loaded(made)) == 13)
    refused = await loom_process(made.folder, "run", "pipeline.yaml")
    assert refused.code == 2
    assert f"`loom drain {stream_of(made)}` ends it" in refused.err
    command.interrupt(number)
    ended = await command.end()
    assert ended.code == 130
    assert ended.report["window"] == {
        "stream": stream_of(made),
        "number": 1,
        "goes_on": True,
        "canary": False,
        "began_at": None,
        "known": 0,
    }
    assert f"loom resume {stream_of(made)}" in ended.err
    shown = await loom_process(made.folder, "status", stream_of(made))
    assert f"{stream_of(made)}: paused" in shown.out
    assert "records      13, of which 13 passed" in shown.out


async def test_a_new_version_takes_over_at_the_next_record(tmp_path):
    made = streaming(tmp_path, window="1h")
    arrive(made, "a", range(5))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 5)
    made.say(version="2.0.0", window="1h")
    arrive(made, "b", range(5, 9))
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(9))
    versions = state(made, "SELECT pipeline_version, records_processed FROM pipeline_runs ORDER BY stream_window")
    assert versions == [("1.0.0", 5), ("2.0.0", 4)]


async def test_a_window_whose_records_are_all_bad_does_not_end_the_stream(tmp_path):
    made = streaming(tmp_path, window={"every": "1h", "records": 1})
    made.path("inbox/a.jsonl").write_text("{oops\n")
    async with opened(made) as stream:
        await stream.closed(1)
        arrive(made, "b", range(1))
        await stream.closed(2)
    assert [(each.status, each.records["loaded"]) for each in stream.reports] == [("partial", 0), ("succeeded", 1)]


async def test_scores_of_records_are_removed_once_their_window_is_as_old_as_the_pipeline_keeps_them(tmp_path):
    made = streaming(
        tmp_path,
        window={"every": "1h", "records": 1, "keep_scores": "1ms"},
        evaluate={"evaluators": [{"name": "mine", "type": "python", "function": "transforms:score", "threshold": 0.5}]},
    )
    made.path("transforms.py").write_text("def score(output, record):\n    return 1.0\n")
    arrive(made, "a", range(45))
    async with opened(made) as stream:
        await stream.closed(45)
        await stream.drained()
    scored = state(made, "SELECT stream_window FROM record_evaluations JOIN pipeline_runs USING (run_id)")
    (removed,) = state(made, "SELECT scores_removed FROM streams")[0]
    assert removed >= 10
    assert sorted(window for (window,) in scored) == [*range(removed + 1, 46)]
    assert state(made, "SELECT sum(sample_size) FROM evaluation_results") == [(45,)]
    assert len(ids_loaded(made)) == 45


async def test_a_spent_budget_stops_the_stream_until_it_is_given_more(tmp_path, model):
    transform = ai(model.base_url, prompt=PROMPT, output={"mood": {"enum": ["good", "bad"]}}, max_tokens=50)
    made = streaming(tmp_path, transform=transform, window="1h", monitoring={"cost_budget": 0.0002})
    arrive(made, "a", range(200))
    async with opened(made) as stream:
        await stream.paused()
    before = len(ids_loaded(made))
    assert before < 200
    assert {reason for (reason,) in state(made, "SELECT reason FROM pipeline_runs WHERE reason IS NOT NULL")} == {
        "budget_exhausted"
    }
    resumed = await Command.begin(made.folder, "resume", stream_of(made), "--budget", "1")
    assert await resumed.reach(lambda: len(ids_loaded(made)) == 200)
    resumed.interrupt()
    await resumed.end()


async def test_whoever_waits_for_the_end_of_a_run_is_refused(tmp_path):
    made = streaming(tmp_path)
    config = LoomConfig.load(made.folder / "loom.yaml")
    async with open_session(config, cluster=False) as session:
        with pytest.raises(ConfigurationError, match="a run of it does not end"):
            await session.start(request_of(made, config))


async def test_the_example_triages_tickets_as_they_arrive(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "tickets")
    (tmp_path / "tickets" / "loom.yaml").write_text("{}\n")
    made = Project(tmp_path / "tickets", tmp_path / "tickets" / "pipeline.yaml", {})
    async with opened(made) as stream:
        shutil.copy(made.path("more-tickets.jsonl"), made.path("inbox"))
        await stream.drained()
    with closing(sqlite3.connect(made.path("tickets.db"))) as database:
        urgent = dict(database.execute("SELECT ticket, urgency FROM triaged"))
    assert urgent == {f"T-100{n}": "high" if n in (1, 3, 5) else "normal" for n in range(1, 6)}


def test_a_sample_of_a_stream_ends(loom, tmp_path):
    made = streaming(tmp_path)
    arrive(made, "a", range(5))
    sampled = loom("run", "pipeline.yaml", "--sample", "3", "--format", "json")
    assert (sampled.code, sampled.report["records"]["loaded"]) == (0, 3)
    assert state(made, "SELECT count(*) FROM streams") == [(0,)]


async def test_a_row_that_changes_is_read_again_and_one_that_does_not_is_not(tmp_path):
    made = streaming(
        tmp_path,
        extract={
            "source": "sqlite:///in.db?table=tickets",
            "key": "id",
            "incremental": {"column": "changed", "lag": 5},
            "poll": "20ms",
        },
        load={"destination": "sqlite:///out.db?table=t", "mode": "upsert"},
        window={"every": "1h", "records": 100},
    )

    def write(*rows: tuple[str, str, int]) -> None:
        with closing(sqlite3.connect(made.path("in.db"), timeout=10)) as database:
            database.execute("CREATE TABLE IF NOT EXISTS tickets (id TEXT PRIMARY KEY, state TEXT, changed INTEGER)")
            database.executemany("INSERT OR REPLACE INTO tickets VALUES (?, ?, ?)", rows)
            database.commit()

    def loaded() -> dict[str, str]:
        if not ids_loaded(made):
            return {}
        with closing(sqlite3.connect(made.path("out.db"), timeout=10)) as database:
            return dict(database.execute("SELECT id, state FROM t"))

    write(("a", "new", 10), ("b", "new", 11))
    async with opened(made) as stream:
        await stream.until(lambda: loaded() == {"a": "new", "b": "new"})
        write(("a", "closed", 20), ("c", "late", 9))
        await stream.until(lambda: loaded().get("a") == "closed")
        write(("d", "late", 16), ("e", "old", 3))
        await stream.until(lambda: "d" in loaded())
        await stream.drained()
    assert loaded() == {"a": "closed", "b": "new", "c": "late", "d": "late"}
    assert windows(made) == [(1, "succeeded", 5)]
