"""A pipeline that would write to its own source is refused beforehand, and by a worker in any case."""

from __future__ import annotations

import asyncio

import pytest

from support.command import loom
from support.projects import project
from support.requested_runs import requested_run

CONTENT = "id,review,stars\na,fine,1\nb,good,2\n"


@pytest.mark.parametrize("destination", ["reviews.csv", "./x/../reviews.csv", "link.csv"])
@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_command_refuses_it_with_its_place(loom, tmp_path, command, destination):
    made = project(tmp_path, destination=destination)
    made.path("reviews.csv").write_text(CONTENT)
    made.path("link.csv").symlink_to("reviews.csv")
    told = loom(command, "pipeline.yaml")
    assert told.code == 2, told
    words = " ".join((told.err + told.out).split())
    assert "pipeline.yaml:" in words
    assert "load.destination" in words
    assert "destroy its own source" in words
    assert made.path("reviews.csv").read_text() == CONTENT


def test_a_worker_refuses_it(loom, tmp_path):
    made = project(tmp_path, source="*.csv", destination="scores.csv")
    made.path("reviews.csv").write_text(CONTENT)
    report = asyncio.run(requested_run(made))
    assert report.status == "failed"
    assert "destroy its own source" in str(report.error)
    assert not made.path("scores.csv").exists()
    assert made.path("reviews.csv").read_text() == CONTENT


@pytest.mark.parametrize("own", ["code.py", "known.csv", "loom.yaml", "pipeline.yaml"])
async def test_a_destination_that_is_a_file_the_pipeline_is_made_of_or_checked_by_is_refused(tmp_path, own):
    files = {
        "in.csv": "id\n1\n",
        "known.csv": "id\n1\n",
        "loom.yaml": "",
        "code.py": "def f(record): return record\n",
        "pipeline.yaml": "name: own\n"
        "extract:\n  source: in.csv\n  quality_checks: [{check: reference, column: id, source: known.csv}]\n"
        "transform: {type: python, function: 'code:f', output: {id: string}}\n"
        f"load: {{destination: {own}, options: {{format: csv}}}}\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ended = await loom(tmp_path, "run", "pipeline.yaml")
    assert ended.code == 2, ended.err
    assert f"'{own}', a file that the pipeline is made of: the run would destroy it" in ended.err
    assert {name: (tmp_path / name).read_text() for name in files} == files
