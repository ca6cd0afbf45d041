"""Tests that the files of a question are read with the pipeline, and their mistakes told with their place."""

import pytest

from loom.project.definition_file import load
from loom_common.errors import InvalidDefinition

FILE = """\
name: reviews
extract: {source: data.csv}
transform:
  type: ai
  model: m
  system: prompts/system.txt
  messages:
    - {role: user, content: "Shall we?"}
    - {role: assistant, content: Yes}
    - role: user
      content: prompts/ask.md
  examples: {file: examples.csv, count: 2}
  output: {label: string}
load: {destination: out.csv}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/system.txt").write_text("You label texts.")
    (tmp_path / "prompts/ask.md").write_text("Label {{ input.text }}.")
    (tmp_path / "examples.csv").write_text("text,label\na,b\n")
    (tmp_path / "p.yaml").write_text(FILE)
    return tmp_path


def mistakes(folder):
    with pytest.raises(InvalidDefinition) as caught:
        load(folder / "p.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_every_file_of_a_question_travels_with_the_run(folder):
    loaded = load(folder / "p.yaml")
    assert set(loaded.files) == {"prompts/system.txt", "prompts/ask.md", "examples.csv"}
    assert loaded.pipeline.transform.prompt == "prompts/ask.md"
    assert [turn.content for turn in loaded.pipeline.transform.messages] == ["Shall we?", "Yes"]
    assert loaded.prompt.whole == "Label {{ input.text }}.\nYou label texts.\nShall we?\nYes"


def test_mistakes_in_every_file_are_told_at_once_with_file_and_line(folder):
    (folder / "prompts/system.txt").write_text("You label\n{{ inptu.text }}")
    (folder / "prompts/ask.md").write_text("{{ params.nothing }} {{ input.text }}")
    (folder / "examples.csv").write_text("txt,label\na,b\n")
    found = mistakes(folder)
    assert any(each.startswith("prompts/system.txt:2:4: found the unknown variable 'inptu'") for each in found)
    assert any(each.startswith("prompts/ask.md:1:4: found params.nothing") for each in found)
    assert any(each.startswith("examples.csv:2: found an input of txt; expected `text`") for each in found)
    assert len(found) == 3


def test_a_missing_file_of_examples_or_system_prompt_is_told_at_its_key(folder):
    (folder / "prompts/system.txt").rename(folder / "prompts/sistem.txt")
    (folder / "examples.csv").unlink()
    found = mistakes(folder)
    assert any(each.startswith("p.yaml:6:3: transform.system") and "sistem.txt" in each for each in found), found
    assert any(each.startswith("p.yaml:12:14: transform.examples.file") for each in found), found


def test_a_field_that_only_the_system_prompt_names_is_held_against_the_source(folder):
    from loom_common.domain.checks.field_names import compared
    from loom_common.domain.values.fields import Fields

    (folder / "prompts/system.txt").write_text("For {{ input.country }}.")
    loaded = load(folder / "p.yaml")
    problems = compared(loaded.document, loaded.definition, loaded.prompt, Fields(("text", "label"), certain=True))
    assert [str(each) for each in problems.problems] == [
        "prompts/system.txt:1:8: found 'country'; expected a field of the source: text, label."
    ]
