"""Tests the example plugin package, installed in an environment of its own: as a user would, on a laptop and in a
cluster."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.cluster import Cluster, running
from support.plugin_packages import fresh_environment
from support.projects import project

TEXTS = ("What a kind letter!", "You stupid, stupid machine!")
POLITE = {"type": "politeness", "rude": ["stupid"], "field": "review", "threshold": 0.9}
ROWS = [{"id": f"r{number}", "review": text} for number, text in enumerate(TEXTS)]
COMMAND_SECONDS = 120


@pytest.fixture(scope="session")
def python(tmp_path_factory) -> Path:
    return fresh_environment(tmp_path_factory.mktemp("environment") / "venv")


def run_loom(
    python: Path, folder: Path, *arguments: str, environ: dict[str, str] | None = None
) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(python), "-m", "loom", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    return done.returncode, done.stdout, done.stderr


def judged(folder: Path):
    return project(folder, ROWS, evaluate={"evaluators": [POLITE]})


def judged_by_references(folder: Path):
    """Make the same project, with every plugin named by `module:name`."""
    format_of_files = {"options": {"format": "loom_connectors.formats.csv:CsvFormat"}}
    return project(
        folder,
        ROWS,
        name="by_references",
        evaluate={"evaluators": [{**POLITE, "type": "loom_politeness.evaluator:Politeness"}]},
        destination="results/by_references.csv",
        extract=format_of_files,
        load=format_of_files,
    )


def test_its_plugins_are_listed_with_their_package(python, tmp_path):
    code, out, err = run_loom(python, tmp_path, "plugins", "list", "--check", "--format", "json")
    assert code == 0, err
    found = [each for each in json.loads(out) if each["package"] == "loom-politeness"]
    assert [(each["kind"], each["name"], each["version"], each["problem"]) for each in found] == [
        ("evaluator", "politeness", "1.0.0", None),
        ("scorer", "exclamations", "1.0.0", None),
        ("step", "length", "1.0.0", None),
        ("step", "shouting", "1.0.0", None),
    ]


def test_a_mistake_in_its_keys_has_its_line(python, tmp_path):
    made = judged(tmp_path)
    made.say(evaluate={"evaluators": [{**POLITE, "rude": []}]})
    code, out, _ = run_loom(python, tmp_path, "validate", made.pipeline.name, "--format", "json")
    (problem,) = json.loads(out)[0]["problems"]
    assert code == 2
    assert problem["key"] == "evaluate.evaluators[0].rude"
    assert made.pipeline.read_text().splitlines()[problem["line"] - 1].strip().startswith('"rude"')


async def test_it_judges_embedded(python, tmp_path):
    made = judged(tmp_path)
    code, out, err = run_loom(python, tmp_path, "run", made.pipeline.name, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["records"]["rejected"] == 1
    assert [row["review"] for row in await made.loaded()] == ["What a kind letter!"]


async def test_its_scorer_is_known_by_name(python, tmp_path):
    made = project(tmp_path, ROWS, transform={"type": "scorer", "scorer": "exclamations", "field": "review"})
    code, _, err = run_loom(python, tmp_path, "run", made.pipeline.name)
    assert code == 0, err
    assert [row["exclamations"] for row in await made.loaded()] == ["1", "1"]


async def test_its_steps_are_known_by_name_and_bring_those_that_they_depend_on(python, tmp_path):
    made = project(tmp_path, ROWS, transform={"steps": ["shouting"]})
    code, _, err = run_loom(python, tmp_path, "run", made.pipeline.name)
    assert code == 0, err
    assert "Added, because others depend on them: length (for shouting)." in err
    assert [(row["letters"] > "0", row["shouting"]) for row in await made.loaded()] == [(True, "false")] * 2


async def test_services_of_the_same_environment_judge_alike(python, tmp_path, rabbitmq, postgres):
    with rabbitmq.vhost() as bus_url:
        async with postgres.database() as state_url:
            folder = tmp_path / "project"
            cluster = Cluster(folder, bus_url=bus_url, state_url=state_url, python=python)
            async with running(cluster):
                for made in (judged(folder), judged_by_references(folder)):
                    made.say()
                    command = ("run", made.pipeline.name, "--format", "json")
                    code, out, err = run_loom(python, folder, *command, environ=cluster.credentials)
                    assert code == 0, err + cluster.troubles()
                    assert json.loads(out)["records"]["rejected"] == 1
                    assert [row["review"] for row in await made.loaded()] == ["What a kind letter!"]
                stepped = project(folder, ROWS, name="stepped", transform={"steps": ["shouting"]})
                code, _, err = run_loom(python, folder, "run", stepped.pipeline.name, environ=cluster.credentials)
                assert code == 0, err + cluster.troubles()
                assert [row["shouting"] for row in await stepped.loaded()] == ["false"] * 2


def test_without_the_package_the_run_is_refused_before_it_reads_anything(tmp_path, python, loom):
    made = judged(tmp_path)
    made.say(plugins=["loom-politeness>=1"])
    ended = loom("run", made.pipeline.name)
    assert ended.code == 2
    assert "expected a package that is installed here: pip install 'loom-politeness>=1'" in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert not (tmp_path / "results").exists()
