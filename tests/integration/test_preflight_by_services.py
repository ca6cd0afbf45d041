"""Tests what the services of a cluster find of a source and a destination before a run costs anything."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom.requests.validation import refuse_unready
from loom.session import conversation
from loom.views import open_views
from loom_common.errors import ConfigurationError
from support.clients import ended, request_of
from support.in_one_process import services
from support.projects import ai, project
from support.simulated_model import SimulatedModel


class Asked:
    """Runs pipelines by the six services, in this process."""

    def __init__(self, folder: Path, model: SimulatedModel, platform) -> None:
        self.folder = folder
        self.model = model
        self._platform = platform

    @property
    def config(self) -> LoomConfig:
        return LoomConfig.load(self.folder / "loom.yaml")

    async def run(self, made, **changes):
        """Run the project to its end and return the report."""
        async with conversation(self._platform.bus) as client:
            accepted = await client.start(request_of(made, self.config, **changes))
            return (await ended(client, accepted.run_id)).report

    async def resumed(self, run_id):
        async with conversation(self._platform.bus) as client:
            await client.resume(run_id)
            return (await ended(client, run_id)).report

    async def found(self, run_id):
        """Return what `loom manifest` shows."""
        async with open_views(self.config) as views:
            [entry] = [each for each in await views.manifest(None, None, None) if each.report.run_id == run_id]
        return entry.preflight

    async def refused_embedded(self, made) -> str:
        """Return the words with which `loom run` refuses the pipeline without a cluster."""
        with pytest.raises(ConfigurationError) as refused:
            await refuse_unready(load(made.pipeline), self.config, {}, sample=False, wait=False, say=print)
        return str(refused.value)


@pytest.fixture
async def asked(tmp_path) -> AsyncIterator[Asked]:
    (tmp_path / "loom.yaml").write_text("storage: {type: sqlite, path: state.db}\n")
    async with SimulatedModel() as model, services(tmp_path) as platform:
        yield Asked(tmp_path, model, platform)


async def test_a_run_is_looked_at_and_the_manifest_shows_what_was_found(asked):
    made = project(
        asked.folder / "fine",
        5,
        name="fine",
        transform=ai(asked.model.base_url),
        destination="sqlite:///out.db?table=t",
    )
    report = await asked.run(made)
    assert (report.status, report.records["loaded"]) == ("succeeded", 5)
    found = await asked.found(report.run_id)
    assert {check["what"]: check["ok"] for check in found["checks"]} == {"source": True, "destination": True}
    columns = {each["column"]: each for each in found["columns"]}
    assert (columns["review"]["origin"], columns["review"]["in_prompt"], columns["review"]["done"]) == (
        "source", True, "read"
    )  # fmt: skip
    assert (columns["mood"]["origin"], columns["mood"]["written"]) == ("output", "text")
    by_command = await refuse_unready(load(made.pipeline), asked.config, {}, sample=False, wait=False, say=print)
    assert {each.column for each in by_command[0].columns} == columns.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"transform": {"prompt": "Judge {{ input.revue }}"}},
        {"extract": {"key": "ident"}},
        {"load": {"include": ["reviw"]}},
        {"load": {"mode": "upsert", "key": ["idd"]}},
    ],
)
async def test_names_that_are_no_fields_fail_the_run_before_a_model_is_asked(asked, changes):
    made = project(
        asked.folder / "unfit",
        5,
        name="unfit",
        transform=ai(asked.model.base_url, **changes.get("transform", {})),
        extract=changes.get("extract"),
        load=changes.get("load"),
        destination="sqlite:///out.db?table=t",
    )
    report = await asked.run(made)
    assert (report.status, report.records["extracted"], asked.model.calls) == ("failed", 0, 0)
    by_command = await asked.refused_embedded(made)
    assert report.error is not None
    assert by_command.endswith(report.error.replace(" (line 1)", "")), (by_command, report.error)
    found = await asked.found(report.run_id)
    assert [check["what"] for check in found["checks"] if not check["ok"]] == ["fields"]


async def test_a_table_that_lacks_a_column_that_is_passed_on_refuses_the_run_in_the_words_of_loom_run(asked):
    made = project(asked.folder / "passed", 5, name="passed", destination="sqlite:///out.db?table=t")
    with closing(sqlite3.connect(made.path("out.db"))) as database:
        database.execute("CREATE TABLE t (id TEXT PRIMARY KEY, review TEXT)")
    report = await asked.run(made)
    assert (report.status, report.records["extracted"]) == ("failed", 0)
    assert report.error == await asked.refused_embedded(made)
    assert "sqlite:///out.db?table=t has no column 'stars', which every record of the source has" in report.error
    with closing(sqlite3.connect(made.path("out.db"))) as database:
        database.execute("ALTER TABLE t ADD COLUMN stars TEXT")
    report = await asked.resumed(report.run_id)
    assert (report.status, report.records["loaded"]) == ("succeeded", 5)


async def test_what_is_wrong_with_source_and_destination_is_told_together_and_can_be_mended(asked):
    made = project(
        asked.folder / "mended",
        5,
        name="mended",
        transform=ai(asked.model.base_url, prompt="Judge {{ input.text }}"),
        destination="sqlite:///out.db?table=t",
        load={"include": ["review"]},
    )
    with closing(sqlite3.connect(made.path("out.db"))) as database:
        database.execute("CREATE VIEW t AS SELECT 1 AS id")
    report = await asked.run(made)
    assert report.status == "failed"
    assert "'text'" in report.error
    assert "view" in report.error.partition("\n")[2]
    assert asked.model.calls == 0
    with closing(sqlite3.connect(made.path("out.db"))) as database:
        database.execute("DROP VIEW t")
    text = made.path("reviews.csv").read_text().replace("id,review,stars", "id,review,text", 1)
    made.path("reviews.csv").write_text(text)
    report = await asked.resumed(report.run_id)
    assert (report.status, report.records["loaded"], asked.model.calls) == ("succeeded", 5, 5)
    assert all(check["ok"] for check in (await asked.found(report.run_id))["checks"])


async def test_a_second_destination_takes_what_an_unusable_first_one_cannot(asked):
    made = project(
        asked.folder / "second",
        5,
        name="second",
        destination="sqlite:///out.db?table=t",
        load={"on_failure": "fallback", "fallback": "results/second.csv"},
    )
    with closing(sqlite3.connect(made.path("out.db"))) as database:
        database.execute("CREATE VIEW t AS SELECT 1 AS id")
    report = await asked.run(made)
    assert report.records["loaded"] == 5, report
    checks = {check["what"]: check for check in (await asked.found(report.run_id))["checks"]}
    assert (checks["destination"]["ok"], checks["destination"]["doubtful"]) == (False, True)
    assert checks["second destination"]["ok"]
