"""Tests that a new version of a stream's pipeline takes a share of the records on trial, beside the version that takes
the others, and that each record is loaded once, by one of the two."""

from __future__ import annotations

import pytest

from loom.project.config import LoomConfig
from loom.views import open_views
from loom_api import service
from loom_api.settings import ApiSettings
from loom_common.contracts.v1 import RunAccepted
from loom_common.errors import ConfigurationError
from support.api import client_of
from support.clients import request_of
from support.command import Command
from support.command import loom as loom_process
from support.projects import PASSTHROUGH, Project, ai
from support.streamed import Following, arrive, ids, ids_loaded, opened, state, stream_of, streaming


async def on_trial(stream: Following, made: Project, share: float | None = 0.5) -> RunAccepted:
    config = LoomConfig.load(made.folder / "loom.yaml")
    return await stream.session.begin(request_of(made, config, canary=share))


def records_of(made: Project, version: str) -> int:
    """Return how many records a version had in the windows of the project's stream."""
    rows = state(made, "SELECT pipeline_version, status, records_processed, canary_of FROM pipeline_runs")
    assert {status for _, status, *_ in rows} == {"succeeded"}, rows
    return sum(number for found, _, number, _ in rows if found == version)


async def test_a_version_on_trial_has_a_share_of_the_records_and_is_promoted(tmp_path):
    made = streaming(tmp_path, version="1.0.0")
    config = LoomConfig.load(made.folder / "loom.yaml")
    async with opened(made) as stream:
        arrive(made, "a", range(10))
        await stream.closed(1)
        made.say(version="2.0.0")
        accepted = await on_trial(stream, made)
        assert (accepted.stream, accepted.canary) == (stream.stream, 0.5)
        arrive(made, "b", range(10, 70))
        await stream.until(lambda: len(ids_loaded(made)) == 70)
        async with open_views(config) as views:
            shown = await views.shown_stream(stream.stream)
        await stream.session.promote(stream.stream)
        arrive(made, "c", range(70, 90))
        await stream.drained()
    assert ids_loaded(made) == ids(range(90))
    assert shown.canary.share == 0.5
    assert [(each.role, each.version) for each in shown.canary.versions] == [("stable", "1.0.0"), ("canary", "2.0.0")]
    stable, canary = (each.records for each in shown.canary.versions)
    assert stable >= 10
    assert canary >= 10
    assert stable + canary <= 60  # the window that was open has taken some of them
    assert records_of(made, "1.0.0") + records_of(made, "2.0.0") == 90
    assert {each.window.canary for each in stream.reports} == {False, True}
    async with open_views(config) as views:
        assert (await views.shown_stream(stream.stream)).canary is None


async def test_a_version_on_trial_that_fails_is_rolled_back_and_the_other_one_takes_its_records(tmp_path):
    made = streaming(tmp_path, version="1.0.0")
    async with opened(made) as stream:
        arrive(made, "a", range(10))
        await stream.closed(1)
        broken = {"type": "python", "function": "broken:fails", "on_failure": "abort"}
        made.path("broken.py").write_text("def fails(record):\n    raise ValueError('no')\n")
        made.say(version="2.0.0", transform=broken)
        await on_trial(stream, made)
        arrive(made, "b", range(10, 40))
        await stream.ended.wait()
        assert any("has stopped; `loom status run_" in each for each in stream.notices) or any(
            each.status == "failed" for each in stream.reports
        )
        with pytest.raises(ConfigurationError, match="this is another one"):
            made.say(version="3.0.0", transform=dict(PASSTHROUGH))
            await on_trial(stream, made, None)
        await stream.session.roll_back(stream.stream)
    made.say(version="1.0.0", transform=dict(PASSTHROUGH))
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(40))
    assert records_of(made, "1.0.0") == 40


async def page_of(made: Project) -> str:
    """Return the page of the console on which the stream stands."""
    config = LoomConfig.load(made.folder / "loom.yaml")
    async with service.opened(config, ApiSettings(), lambda _: None) as application, client_of(application) as client:
        return " ".join((await client.get("http://localhost/pipelines/tickets")).text.split())


RULE = {"share": "50%", "windows": 2, "records": 5}


async def arrive_until(stream: Following, made: Project, decided: str) -> int:
    """Let records arrive until the stream is decided on, and return how many have. `decided` is the word for it."""
    config = LoomConfig.load(made.folder / "loom.yaml")
    for number in range(1, 40):
        arrive(made, f"more{number:02}", range(10 * number, 10 * number + 10))
        await stream.until(
            lambda least=10 * number - 20: sum(each.records["extracted"] for each in stream.reports) >= least
        )
        async with open_views(config) as views:
            shown = await views.shown_stream(stream.stream)
        if shown.decided is not None:
            assert shown.decided.decision == decided
            return 10 * number + 10
        assert shown.canary is None or shown.canary.waits_for
    raise AssertionError("nothing was decided")


async def test_a_version_that_is_no_worse_is_promoted_by_its_rule(tmp_path):
    made = streaming(tmp_path, version="1.0.0")
    async with opened(made) as stream:
        arrive(made, "a", range(10))
        await stream.closed(1)
        made.say(version="2.0.0", canary=RULE)
        assert (await on_trial(stream, made, None)).canary == 0.5  # the file asks for its share itself
        count = await arrive_until(stream, made, "promote")
        arrive(made, "z", range(count, count + 10))
        await stream.drained()
    assert ids_loaded(made) == ids(range(count + 10))
    assert records_of(made, "1.0.0") + records_of(made, "2.0.0") == count + 10
    told = [each.message for report in stream.reports for each in report.alerts]
    assert len(told) == 1
    assert told[0].startswith("version 2.0.0 takes all records from the next window on: it is no worse over ")
    shown = await loom_process(made.folder, "status", stream.stream)
    assert "2.0.0 was promoted, in window " in shown.words
    assert "version 2.0.0 was promoted, in window " in await page_of(made)
    newest = state(made, "SELECT pipeline_version FROM pipeline_runs ORDER BY stream_window DESC LIMIT 1")
    assert newest == [("2.0.0",)]


async def test_a_version_that_is_not_decided_on_yet_is_shown_beside_the_other_one(tmp_path):
    made = streaming(tmp_path, version="1.0.0")
    async with opened(made) as stream:
        arrive(made, "a", range(10))
        await stream.closed(1)
        made.say(version="2.0.0", canary={**RULE, "windows": 9})
        await on_trial(stream, made, 0.3)
        arrive(made, "b", range(10, 40))
        await stream.until(lambda: len(ids_loaded(made)) == 40)
    page = await page_of(made)
    assert "On trial in" in page
    assert "30.0% of the records, from window " in page
    assert "of 9 windows have ended, with " in page
    assert '<th scope="row">canary</th><td>2.0.0</td>' in page
    shown = await loom_process(made.folder, "status", stream.stream)
    assert "of 9 windows have ended, with " in shown.words


async def test_a_version_that_is_worse_is_rolled_back_by_its_rule_and_stays_so(tmp_path):
    made = streaming(tmp_path, version="1.0.0")
    made.path("broken.py").write_text(
        "def fails(record):\n    assert int(record['id'][1:]) % 3, 'no'\n    return record\n"
    )
    broken = {"type": "python", "function": "broken:fails"}
    async with opened(made) as stream:
        arrive(made, "a", range(10))
        await stream.closed(1)
        made.say(version="2.0.0", transform=broken, canary=RULE)
        await on_trial(stream, made, None)
        count = await arrive_until(stream, made, "roll_back")
        assert (await on_trial(stream, made, None)).canary is None  # the same file does not begin it again
        arrive(made, "z", range(count, count + 10))
        await stream.drained()
    newest = state(made, "SELECT pipeline_version FROM pipeline_runs ORDER BY stream_window DESC LIMIT 1")
    assert newest == [("1.0.0",)]
    told = [each.message for report in stream.reports for each in report.alerts]
    assert len(told) == 1
    assert told[0].startswith("version 2.0.0 gets no more records, and version 1.0.0 takes all: it keeps back ")
    shown = await loom_process(made.folder, "status", stream.stream)
    assert "2.0.0 was rolled back, and 1.0.0 has all records, in window " in shown.words
    assert ids(range(count, count + 10)) == ids_loaded(made)[-10:]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({}, "has this version for all its records", id="no other version"),
        pytest.param({"extract": {"key": "mood"}}, "`extract.key`", id="another key"),
        pytest.param({"name": "another"}, "no stream over this source yet", id="no stream"),
    ],
)
async def test_what_cannot_have_a_share_is_refused(tmp_path, changed, said):
    made = streaming(tmp_path, version="1.0.0")
    async with opened(made) as stream:
        given = {name: {**made.definition[name], **new} if name == "extract" else new for name, new in changed.items()}
        made.say(**given)
        with pytest.raises(ConfigurationError, match=said):
            await on_trial(stream, made)
        with pytest.raises(ConfigurationError, match="No version of tickets is on trial"):
            await stream.session.promote(stream.stream)


async def test_a_killed_stream_with_a_version_on_trial_loads_each_record_once(tmp_path, model):
    made = streaming(tmp_path, version="1.0.0", window={"every": "1h", "records": 16})
    arrive(made, "first", range(4), mood="good")
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 4)
    prompt = "What is the mood of {{ input.id }}?"
    made.say(version="2.0.0", transform=ai(model.base_url, prompt=prompt, output={"mood": {"enum": ["good", "bad"]}}))
    model.hold_after(6)
    command = await Command.begin(made.folder, "run", "pipeline.yaml", "--canary", "50%")
    assert await command.says("50% of the records go to the version on trial")
    for number in range(4):
        arrive(made, f"f{number}", range(10 * number + 4, 10 * number + 14))
    assert await command.reach(lambda: len(model.bodies) > 6)
    await command.kill()
    model.let_go()
    resumed = await Command.begin(made.folder, "resume", stream_of(made))
    assert await resumed.reach(lambda: len(ids_loaded(made)) == 44)
    drained = await loom_process(made.folder, "drain", stream_of(made))
    assert (drained.code, (await resumed.end()).code) == (0, 0), drained.err
    assert ids_loaded(made) == ids(range(44))
    assert records_of(made, "1.0.0") + records_of(made, "2.0.0") == 44
    assert records_of(made, "2.0.0") >= 6
