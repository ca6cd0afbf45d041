"""Runs `loom serve`, and asks it what docs/api.md asks, word for word."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from loom.project.config import LoomConfig
from loom_api import app
from loom_api.http.answers import PREFIX
from loom_api.running.sessions import EmbeddedSessions
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_migrations.engine import open_engine
from support.api import RUN, fill_file
from support.documents import ROOT, of_page

PAGE = ROOT / "docs/api.md"
SHOWN = {"run_4f1c2a9b7e03": RUN, "pipeline=reviews": "pipeline=p", "r-17": "r2"}
"""Holds the names of the document -> those of the test's project."""


def command(folder, *arguments):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LOOM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "loom", "serve", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def renamed(text, names):
    """Return a text with other names in the place of those that it has."""
    for shown, name in names.items():
        text = text.replace(shown, name)
    return text


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".loom").mkdir()
    asyncio.run(fill_file(tmp_path / ".loom/loom.db"))
    return tmp_path


def test_what_the_document_asks_is_answered_until_it_is_interrupted(project):
    asked = [line for each in of_page(PAGE) if each.kind == "bash" for line in each.body.splitlines()]
    assert len(asked) > 5
    with command(project, "--port", "0") as serving:
        try:
            url = serving.stdout.readline().strip()
            for each in asked:
                line = renamed(each, {**SHOWN, "http://127.0.0.1:8780": url})
                done = subprocess.run(
                    ["bash", "-c", f"{line} --silent --fail-with-body"], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{line}: {done.stdout} {done.stderr}"
                assert json.loads(done.stdout), line
        finally:
            serving.send_signal(signal.SIGINT)
            _, told = serving.communicate(timeout=60)
    assert serving.returncode == 0
    assert "The web console of Loom, and its REST API" in told


def test_an_address_that_others_reach_is_refused_in_a_sentence(tmp_path):
    with command(tmp_path, "--host", "0.0.0.0") as serving:
        out, told = serving.communicate(timeout=60)
    assert (serving.returncode, out) == (2, "")
    assert told.startswith("error: The API would listen on 0.0.0.0, where others reach it")


def test_the_document_names_every_route():
    engine = open_engine("sqlite:///:memory:")
    document = app.build(Source(engine, LoomConfig(), None, EmbeddedSessions(LoomConfig())), ApiSettings()).openapi()
    reading, commanding = PAGE.read_text(encoding="utf-8").split("asked by `POST`.", 1)
    for method, text in (("get", reading), ("post", commanding)):
        rows = re.findall(r"^\| `(/[^`]*)` \|", text, re.MULTILINE)
        routes = [path for path, operations in document["paths"].items() if method in operations]
        assert sorted(f"{PREFIX}{row}" for row in rows) == sorted(routes)
