"""Tests finding pipelines by path, by name, and by registration."""

import pytest

from loom.project import catalog
from loom.project.config import LoomConfig
from loom_common.errors import ConfigurationError, InvalidDefinition

PIPELINE = """\
name: {name}
version: 2.0
extract: {{source: a.csv}}
transform: {{type: passthrough}}
load: {{destination: b.csv}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Provide a project with two pipelines, and YAML files that are none."""
    monkeypatch.chdir(tmp_path)
    for path, name in [("pipelines/one.yaml", "one"), ("two/pipeline.yml", "two")]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(PIPELINE.format(name=name))
    (tmp_path / "compose.yaml").write_text("name: x\nservices: {}\n")
    (tmp_path / "broken.yaml").write_text("name: x\nextract: [\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/p.yaml").write_text(PIPELINE.format(name="hidden"))
    return tmp_path


def test_pipelines_of_the_folders_are_listed_once_by_name(project):
    assert [(one.name, one.version) for one in catalog.entries(LoomConfig.load())] == [("one", "2.0"), ("two", "2.0")]


def test_a_file_that_was_edited_is_listed_as_it_is_now(project):
    config = LoomConfig.load()
    catalog.entries(config)
    (project / "two/pipeline.yml").write_text(PIPELINE.format(name="three"))
    assert [one.name for one in catalog.entries(config)] == ["one", "three"]
    (project / "two/pipeline.yml").write_text("name: three\nextract: [\n")
    assert [one.name for one in catalog.entries(config)] == ["one"]


BODY = '"transform": {"type": "passthrough"}, "load": {"destination": "b.csv"}'
WRITTEN = {
    "in braces": '{"extract": {"source": "a.csv"}, "name": "three", %s}',
    "in braces below a comment": '# by a program\n---\n{\n  "name": "three",\n  "extract": {"source": "a.csv"},\n%s}\n',
    "without quotes": "{name: three, extract: {source: a.csv}, %s}",
    "with quoted keys": '"name": three\n"extract": {source: a}\ntransform: {type: passthrough}\nload: {destination: b}',
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_pipeline_is_found_however_its_keys_are_written(project, written):
    (project / "three.yaml").write_text(WRITTEN[written].replace("%s", BODY))
    assert catalog.is_pipeline(project / "three.yaml")
    assert catalog.find("three", LoomConfig.load()).path == project / "three.yaml"


def test_other_files_in_braces_are_no_pipelines(project):
    (project / "other.yaml").write_text('{"steps": [{"name": "x", "extract": {"source": "a"}}]}')
    assert [one.name for one in catalog.entries(LoomConfig.load())] == ["one", "two"]


def test_a_name_means_the_file_that_says_it(project):
    found = catalog.find("two", LoomConfig.load())
    assert found.path == project / "two/pipeline.yml"


def test_a_path_is_taken_as_it_is(project):
    assert catalog.find("pipelines/one.yaml", LoomConfig.load()).pipeline.name == "one"
    with pytest.raises(InvalidDefinition, match="no such file"):
        catalog.find("pipelines/absent.yaml", LoomConfig.load())


def test_a_registered_name_is_given_back(project):
    assert catalog.find("elsewhere", LoomConfig.load(), ["elsewhere"]) == "elsewhere"


def test_an_unknown_name_is_told_with_the_nearest(project):
    with pytest.raises(ConfigurationError, match=r"no pipeline named 'twoo'. Did you mean 'two'\? Known: one, two"):
        catalog.find("twoo", LoomConfig.load())


def test_a_name_that_two_files_say_is_refused_with_both(project):
    (project / "pipelines/again.yaml").write_text(PIPELINE.format(name="two"))
    with pytest.raises(ConfigurationError, match=r"pipelines/again\.yaml, two/pipeline\.yml"):
        catalog.find("two", LoomConfig.load())


def test_without_any_pipeline_init_is_pointed_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="loom init NAME"):
        catalog.find("x", LoomConfig.load())
