"""Tests the README word for word: its report, its script, its request by AMQP. So are the scripts of other pages."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import shutil
import subprocess
import sys

import aio_pika
import pytest

from loom_common.contracts.v1 import RunAccepted, RunFinished
from loom_dev.waiting import within
from support.documents import ROOT, of_page

README = list(of_page(ROOT / "README.md"))
EXAMPLE = "examples/customer_sentiment"
STREAM = "examples/support_tickets"
WRITTEN_BY_RUNS = ("results", ".loom", "__pycache__")


@pytest.fixture
def checkout(tmp_path):
    """Provide the part of a fresh checkout that the README's commands look at."""
    for example in (EXAMPLE, STREAM):
        shutil.copytree(ROOT / example, tmp_path / example, ignore=shutil.ignore_patterns(*WRITTEN_BY_RUNS))
    return tmp_path


def ran(folder, *command):
    """Run a command in `folder`, as in a new shell: none of our settings, no key."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("LOOM_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def plain(line):
    """Return a line without what differs from run to run, and from one width of a terminal to another."""
    return " ".join(re.sub(r"run_[0-9a-f]{12}", "RUN", line).split())


def test_the_example_ends_with_the_report_that_the_readme_shows(checkout):
    (shown,) = (each.body for each in README if each.kind == "" and each.body.startswith("succeeded"))
    done = ran(checkout, "-m", "loom", "run", f"{EXAMPLE}/pipeline.yaml")
    assert done.returncode == 0, done.stderr
    told = {plain(line) for line in done.stdout.splitlines()}
    for line in shown.splitlines():
        assert line in ("", "...") or plain(line) in told, f"{line!r} is not in\n{done.stdout}"


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("README.md", ["succeeded 3708"]),
        (
            "docs/python.md",
            [
                "succeeded 2",
                "1 {'sentiment': 'positive'",
                "1 succeeded 3",
                "[{'id': 'b', 'mood': 'good'}]",
                "None 0.0 ",
            ],
        ),
    ],
)
def test_the_scripts_of_a_page_run_as_they_are_printed(checkout, page, told):
    scripts = [each.body for each in of_page(ROOT / page) if each.kind == "python"]
    for script, words in zip(scripts, told, strict=True):
        (checkout / "script.py").write_text(script)
        done = ran(checkout, "script.py")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(words)


async def test_the_script_of_the_wire_format_is_answered_with_the_run_that_it_starts(cluster, tmp_path):
    (script,) = (each.body for each in of_page(ROOT / "docs/wire-format.md") if each.kind == "python")
    (tmp_path / "request.py").write_text(script)
    definition = {
        "name": "customer_sentiment",
        "extract": {"source": f"{EXAMPLE}/data/reviews.csv", "key": "id"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "results/requested.csv"},
    }
    shutil.copytree(ROOT / EXAMPLE / "data", cluster.project / EXAMPLE / "data", dirs_exist_ok=True)
    connection = await aio_pika.connect(cluster.bus_url)
    async with connection:
        channel = await connection.channel()
        answers = await channel.declare_queue(exclusive=True)
        runs = await channel.get_exchange("loom.runs")
        body = json.dumps({"definition": definition}).encode()
        await runs.publish(aio_pika.Message(body, reply_to=answers.name), "run.register")
        async with within(120), answers.iterator(no_ack=True) as messages:
            await anext(aiter(messages))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "request.py",
        cwd=tmp_path,
        env={**os.environ, "LOOM_BUS_URL": cluster.bus_url},
        stdout=asyncio.subprocess.PIPE,
    )
    async with within(120):
        out, _ = await process.communicate()
    assert RunAccepted.model_validate(json.loads(out)).pipeline == "customer_sentiment"


async def test_the_request_of_the_readme_runs_on_a_cluster_that_has_run_nothing(cluster):
    (request,) = (each.body for each in README if each.kind == "json")
    shutil.copytree(ROOT / EXAMPLE / "data", cluster.project / EXAMPLE / "data", dirs_exist_ok=True)
    connection = await aio_pika.connect(cluster.bus_url)
    async with connection:
        channel = await connection.channel()
        heard = await channel.declare_queue(exclusive=True)
        await heard.bind("loom.events", "run.finished.copied")
        runs = await channel.get_exchange("loom.runs")
        await runs.publish(aio_pika.Message(request.encode()), "run.request")
        async with within(120), heard.iterator() as messages:
            message = await anext(aiter(messages))
            finished = RunFinished.model_validate(json.loads(message.body))
            await message.ack()
    assert finished.report.status == "succeeded"
    with (cluster.project / "results/copied.csv").open(encoding="utf-8", newline="") as stream:
        assert sum(1 for _ in csv.DictReader(stream)) == 3708
