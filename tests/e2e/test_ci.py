"""Tests what checks pipelines in CI and before a commit, where there is no key, no data and no network."""

import re
import shutil

import pytest
import yaml

from support.documents import ROOT

HOOKS = {each["id"]: each for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
WORKFLOW = yaml.safe_load((ROOT / "examples/ci/loom.yml").read_text())
ELSEWHERE = """name: reviews
extract: {source: 'postgres://${DB_USER}:${DB_PASSWORD}@nowhere.invalid/reviews?table=reviews', key: id}
transform: {type: ai, model: gpt-4o-mini, prompt: 'Is this good? {{ input.review }}', output: {good: boolean}}
load: {destination: 's3://nowhere/${BUCKET}/good.csv'}
"""


def test_a_file_is_checked_without_its_credentials_source_and_destination(tmp_path, loom):
    (tmp_path / "pipeline.yaml").write_text(ELSEWHERE)
    assert loom("validate", "pipeline.yaml").code == 2
    told = loom("validate", "--offline", "--format", "github", "pipeline.yaml")
    assert (told.code, told.out) == (0, "pipeline.yaml: everything is in order\n")
    assert loom("validate", "--offline", "--connect", "pipeline.yaml").code == 2


def test_mistakes_are_annotated_at_their_lines_and_end_no_line(tmp_path, loom):
    (tmp_path / "pipeline.yaml").write_text(ELSEWHERE.replace("good: boolean", 'good: "100%\\n::error::b"'))
    (tmp_path / "other.yaml").write_text(ELSEWHERE.replace("load:", "laod:"))
    told = loom("validate", "--offline", "--format", "github", "pipeline.yaml", "other.yaml")
    lines = told.out.splitlines()
    assert told.code == 2
    assert lines[0].startswith("::error file=pipeline.yaml,line=3,col=")
    assert "100%25" in lines[0]
    assert lines[1].startswith("::error file=other.yaml,line=")
    assert all(line.startswith("::error file=") for line in lines)


def test_what_fails_of_the_surroundings_is_annotated_too(tmp_path, loom):
    (tmp_path / "pipeline.yaml").write_text(ELSEWHERE)
    told = loom("validate", "--format", "github", "pipeline.yaml")
    assert told.code == 2
    assert told.out.startswith("::error file=pipeline.yaml::credentials: ")


@pytest.fixture
def example(tmp_path):
    ignored = shutil.ignore_patterns(".loom", "results", "models")
    shutil.copytree(ROOT / "examples/customer_sentiment", tmp_path, ignore=ignored, dirs_exist_ok=True)
    return tmp_path


def commands(step):
    return re.findall(r"loom (?:validate|test)[^|\n]*", step.get("run", ""))


def test_the_commands_of_the_workflow_and_of_the_hooks_pass_for_the_example(example, loom):
    run = [command for step in WORKFLOW["jobs"]["pipelines"]["steps"] for command in commands(step)]
    assert len(run) == 2
    assert HOOKS["loom-test"]["entry"] == "loom test"
    run.append(HOOKS["loom-validate"]["entry"])
    for command in run:
        files = ["pipeline.yaml", "pipeline-llm.yaml"] if "validate" in command else ["tests/llm.yaml"]
        done = loom(*command.split()[1:], *files)
        assert done.code == 0, done.out + done.err


def test_a_hook_is_given_pipeline_files_and_no_others():
    wanted = re.compile(HOOKS["loom-validate"]["files"])
    assert all(map(wanted.search, ("pipeline.yaml", "reviews/pipeline-llm.yml")))
    assert not any(
        map(wanted.search, ("loom.yaml", ".github/workflows/loom.yml", "my-pipeline.yaml", "pipelines/a.py"))
    )
