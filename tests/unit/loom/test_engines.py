"""Tests how a project chooses its engine, and what an engine of a package is given."""

from __future__ import annotations

import json

import pytest

from loom.cli.app import main
from loom.plugins import list_plugins
from loom.project.config import LoomConfig
from loom.session import open_session
from loom.session.engines import OWN
from loom_common.errors import ConfigurationError, InvalidDefinition
from loom_common.plugins.kinds import Kind
from support.clients import ended, request_of
from support.plugin_packages import plugin_packages
from support.projects import project, python, review_ids

CODE = '''
from contextlib import asynccontextmanager
from dataclasses import replace

from loom.session import open_embedded
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import TransientError
from loom_common.worker.consumer_spec import GivenUp

LOOM_PLUGIN_API = 1
attempts = []
"""Holds the kind of each message that was handled, and the number of the attempt."""


class Thrice:
    """Tries a message three times, without waiting."""

    async def carry(self, message, context, handle):
        for number in (1, 2, 3):
            attempts.append((type(message).__name__, number))
            try:
                return await handle(message, replace(context, attempt=Attempt(number, last=number == 3)))
            except TransientError as error:
                last = error
        raise GivenUp(last, 3)


@asynccontextmanager
async def carrying(platform):
    yield Thrice()


def thrice(config, opening):
    """Open the engine."""
    return open_embedded(config, opening, carrying)


number = 7
'''
FAILS = """
from loom_common.errors import DependencyUnavailable

tries = {}

def judged(record):
    name = record["id"]
    tries[name] = tries.get(name, 0) + 1
    if name == "r000003" or (name == "r000001" and tries[name] < 3):
        raise DependencyUnavailable("the house of moods is away")
    return {"mood": "good"}
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    with plugin_packages(tmp_path / "packages", monkeypatch) as found:
        yield found


@pytest.mark.parametrize(
    ("written", "name", "distributed"),
    [
        ("", "embedded", False),
        ("mode: distributed", "rabbitmq", True),
        ("engine: embedded", "embedded", False),
        ("engine: rabbitmq", "rabbitmq", True),
        ("mode: distributed\nengine: rabbitmq", "rabbitmq", True),
        ("mode: embedded\nengine: prefect", "prefect", False),
    ],
)
def test_an_engine_is_named_by_itself_or_by_a_mode(written, name, distributed):
    config = LoomConfig.parse(written, "loom.yaml")
    assert (config.engine_name, config.distributed) == (name, distributed)
    assert config.for_cluster().engine_name == "rabbitmq"
    assert config.in_this_process().engine_name == ("embedded" if distributed else name)


@pytest.mark.parametrize("written", ["mode: distributed\nengine: prefect", "mode: embedded\nengine: rabbitmq"])
def test_a_mode_and_an_engine_that_contradict_each_other_are_refused(written):
    with pytest.raises(InvalidDefinition, match="or leave `mode` out"):
        LoomConfig.parse(written, "loom.yaml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prefect", r"not installed here: pip install \./packages/loom_prefect"),
        ("rabitmq", r"No engine is called 'rabitmq'; here are embedded, rabbitmq\. Did you mean 'rabbitmq'\?"),
        ("temporal", r"point in the group loom\.engines"),
    ],
)
async def test_an_engine_that_is_not_here_is_refused_with_what_to_install(packages, name, words):
    with pytest.raises(ConfigurationError, match=words):
        async with open_session(LoomConfig(engine=name)):
            pass


def test_such_a_project_is_refused_before_anything_runs_and_the_doctor_says_why(
    packages, tmp_path, monkeypatch, capsys
):
    project(tmp_path, 3)
    (tmp_path / "loom.yaml").write_text("engine: temporal\n")
    monkeypatch.chdir(tmp_path)
    for command in (["run", "pipeline.yaml"], ["validate", "pipeline.yaml"], ["doctor"]):
        with pytest.raises(SystemExit) as exited:
            main(command)
        said = capsys.readouterr()
        assert exited.value.code
        assert "No engine is called 'temporal'" in " ".join((said.out + said.err).split())
    assert not (tmp_path / "results").exists()


def test_engines_are_listed_with_the_package_they_come_from(packages, tmp_path, monkeypatch, capsys):
    points = {"loom.engines/thrice": "loom_test_thrice:thrice", "loom.engines/seven": "loom_test_thrice:number"}
    packages.install("loom-test-thrice", points, CODE)
    listed = {each.name: each for each in list_plugins(Kind.ENGINE, check=True)}
    assert [name for name, each in listed.items() if each.package == "loom"] == list(OWN)
    assert (listed["thrice"].package, listed["thrice"].problem) == ("loom-test-thrice", None)
    assert "no function that opens an engine" in (listed["seven"].problem or "")
    (tmp_path / "loom.yaml").write_text("engine: thrice\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["doctor", "--format", "json"])
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert (found["engine"]["status"], found["engine"]["detail"]) == ("ok", "thrice is offered by loom-test-thrice 1.0")


async def test_the_carrier_of_an_engine_calls_the_handlers_and_tries_again(packages, tmp_path, monkeypatch):
    """What still fails after its last attempt is kept back, with the number of the attempts; its neighbours go on."""
    packages.install("loom-test-thrice", {"loom.engines/thrice": "loom_test_thrice:thrice"}, CODE)
    made = project(tmp_path, 6, transform=python(), code=FAILS, extract={"batch_size": 1})
    (tmp_path / "loom.yaml").write_text("engine: thrice\n")
    monkeypatch.chdir(tmp_path)
    config = LoomConfig.load()
    async with open_session(config) as engine:
        accepted = await engine.start(request_of(made, config))
        report = (await ended(engine, accepted.run_id)).report
    assert (report.records["loaded"], report.records["quarantined"]) == (5, 1)
    assert [row["id"] for row in await made.loaded()] == [each for each in review_ids(6) if each != "r000003"]
    import loom_test_thrice

    transforms = sorted(number for kind, number in loom_test_thrice.attempts if kind == "BatchExtracted")
    assert transforms == [1, 1, 1, 1, 1, 1, 2, 2, 3, 3]
    assert {"ExtractSlice", "BatchEvaluated", "FinalizeLoad"} <= {kind for kind, _ in loom_test_thrice.attempts}
