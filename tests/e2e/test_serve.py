"""Runs `loom serve`, and asks it what docs/api.md asks, word for word."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from loom.project.config import LoomConfig
from loom_api import app
from loom_api.http.answers import PREFIX
from loom_api.running.sessions import EmbeddedSessions
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_dev.waiting import patience
from loom_migrations.engine import open_engine
from support.documents import ROOT, of_page

PAGE = ROOT / "docs/api.md"


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


STRICT = 'set -eo pipefail; curl() { command curl --silent --fail-with-body "$@"; echo; }; '
"""Lets a script of curl lines end with the first request that is not answered as asked."""


def typed(folder, script):
    """Run a block of the document in a shell whose `loom` is the one that is tested."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LOOM_")}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", STRICT + script], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_what_the_document_asks_is_answered_until_it_is_interrupted(tmp_path):
    before, reads, commands, gives = (each.body for each in of_page(PAGE) if each.kind == "bash")
    typed(tmp_path, before)
    with command(tmp_path / "reviews", "--port", "0") as serving:
        try:
            url = serving.stdout.readline().strip()
            answers = typed(tmp_path / "reviews", (reads + commands + gives).replace("http://127.0.0.1:8780", url))
        finally:
            serving.send_signal(signal.SIGINT)
            _, told = serving.communicate(timeout=patience(60))
    documents = [json.loads(line) for line in answers.splitlines() if line]
    asked = [line for line in (reads + commands + gives).splitlines() if line.startswith("curl")]
    assert len(documents) == len(asked) > 8
    paused, replay, trial, records, given = documents[-5:]
    assert (trial["status"], replay["pipeline"]) == ("running", "reviews")
    assert (paused["status"], records["status"]) == ("succeeded", "succeeded")
    assert records["records"]["loaded"] == 6
    (shown,) = (json.loads(each.body) for each in of_page(PAGE) if each.body.startswith('[{"record_id"'))
    assert given["outputs"] == shown
    assert serving.returncode == 0
    assert "The web console of Loom, and its REST API" in told


def test_an_address_that_others_reach_is_refused_in_a_sentence(tmp_path):
    with command(tmp_path, "--host", "0.0.0.0") as serving:
        out, told = serving.communicate(timeout=patience(60))
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
