"""Tests a pipeline file: every mistake at once, each with its place."""

import json

import pytest

from loom.project.config import LoomConfig
from loom.project.definition_file import built, load
from loom.project.prompt_files import is_path
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition
from support.onnx_models import of_whole_texts

GOOD = """\
name: reviews
params:
  since: {type: date, default: 2024-01-01}
  limit: 10
extract:
  source: data.csv
transform:
  type: ai
  model: m
  prompt: prompts/ask.txt
  context: [context/domain.md]
  output: {label: string}
load:
  destination: out.csv
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Provide a working directory that holds a pipeline's files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "context").mkdir()
    (tmp_path / "prompts/ask.txt").write_text("{{ context.domain }} {{ input.text }} {{ params.limit }}")
    (tmp_path / "context/domain.md").write_text("# Domain")
    return tmp_path


def written(folder, text):
    path = folder / "p.yaml"
    path.write_text(text)
    return path


def mistakes(folder, text):
    with pytest.raises(InvalidDefinition) as caught:
        load(written(folder, text))
    return [str(problem) for problem in caught.value.problems]


def test_a_good_file_gives_the_pipeline_and_its_files(folder):
    loaded = load(written(folder, GOOD))
    assert loaded.pipeline.name == "reviews"
    assert set(loaded.files) == {"prompts/ask.txt", "context/domain.md"}
    assert loaded.files["context/domain.md"] == "# Domain"
    assert loaded.folder == folder


def test_the_definition_that_travels_is_json_and_means_the_same(folder):
    loaded = load(written(folder, GOOD))
    assert parse(json.loads(json.dumps(loaded.definition))) == loaded.pipeline


def test_every_mistake_is_told_with_line_and_column(folder):
    text = GOOD.replace("source:", "sorce:").replace("type: ai", "type: au").replace("destination:", "mode: upsrt #")
    known = ", ".join(sorted(field.alias or name for name, field in ExtractConfig.model_fields.items()))
    types = "ai, embed, scorer, python, passthrough, metrics, enrich"
    assert mistakes(folder, text) == [
        "p.yaml:5:1: extract.source: found nothing; expected a value for `source`.",
        f"p.yaml:6:3: extract.sorce: found the unknown key 'sorce'; expected one of {known}. Did you mean 'source'?",
        f"p.yaml:8:3: transform.type: found 'au'; expected one of {types}.",
        "p.yaml:13:1: load.destination: found nothing; expected a value for `destination`.",
        "p.yaml:14:3: load.mode: found 'upsrt'; expected one of append, upsert, replace. Did you mean 'upsert'?",
    ]


def test_a_missing_prompt_is_told_with_its_nearest_neighbour(folder):
    (told,) = mistakes(folder, GOOD.replace("ask.txt", "aks.txt"))
    assert told.startswith("p.yaml:10:3: transform.prompt: found 'prompts/aks.txt', which is not there")
    assert told.endswith("Did you mean 'prompts/ask.txt'?")


def test_a_context_file_in_another_encoding_is_told_with_its_line(folder):
    (folder / "context/domain.md").write_bytes(b"fine\ncaf\xe9\n")
    assert mistakes(folder, GOOD) == ["context/domain.md:2: found the byte 0xe9; expected text in UTF-8."]


def test_an_unknown_variable_is_told_at_its_line_of_the_prompt(folder):
    (folder / "prompts/ask.txt").write_text("Hello\n{{ context.domian }} {{ params.limt }} {{ inptu.text }}\n")
    told = mistakes(folder, GOOD)
    assert [problem.split(" found ")[0] for problem in told] == [
        "prompts/ask.txt:2:4:",
        "prompts/ask.txt:2:25:",
        "prompts/ask.txt:2:43:",
    ]
    assert [problem.rsplit("Did you mean ", 1)[1] for problem in told] == ["'domain'?", "'limit'?", "'input'?"]


def test_an_unknown_variable_of_an_inline_prompt_is_told_at_the_key(folder):
    (told,) = mistakes(folder, GOOD.replace("prompts/ask.txt", "'Say {{ what }}'"))
    assert told.startswith("p.yaml:10:19: transform.prompt: found the unknown variable 'what'; expected")


def test_two_context_files_of_one_name_are_a_mistake(folder):
    (folder / "domain.txt").write_text("x")
    (told,) = mistakes(folder, GOOD.replace("[context/domain.md]", "[context/domain.md, domain.txt]"))
    assert "p.yaml:11:32" in told
    assert "`context.domain`" in told


def test_functions_scorers_and_gates_that_are_not_there_are_told(folder):
    (folder / "mine.py").write_text("def tidy(record): return record\n")
    text = """\
name: reviews
extract: {source: data.csv}
transform: {type: python, function: 'mine:tidi'}
evaluate:
  evaluators:
    - {type: python, function: 'absent:f', threshold: 1}
  quality_gate: al_pass
load: {destination: out.csv}
"""
    told = mistakes(folder, text)
    assert [problem.split(" found ")[0] for problem in told] == [
        "p.yaml:3:27: transform.function:",
        "p.yaml:6:22: evaluate.evaluators[0].function:",
        "p.yaml:7:3: evaluate.quality_gate:",
    ]
    assert "it has tidy" in told[0]
    assert told[2].endswith("Did you mean 'all_pass'?")
    (scorer,) = mistakes(
        folder,
        text.replace("python, function: 'mine:tidi'", "scorer, scorer: vadre, field: x")
        .replace("python, function: 'absent:f'", "length, min: 1")
        .replace("al_pass", "all_pass"),
    )
    assert scorer.startswith("p.yaml:3:27: transform.scorer: found 'vadre'")
    assert scorer.endswith("Did you mean 'vader'?")


def test_a_model_that_is_no_file_or_no_classifier_is_told(folder):
    of_whole_texts(folder / "models")
    text = """\
name: p
extract: {source: data.csv}
transform: {type: scorer, scorer: models/model.onnx, field: x}
load: {destination: out.csv}
"""
    (unnamed,) = mistakes(folder, text)
    assert unnamed.startswith("p.yaml:3:27: transform.scorer: found 'models/model.onnx'")
    assert "does not say what its classes are called" in unnamed
    named = text.replace("field: x", "field: x, labels: [no, yes]")
    assert load(written(folder, named)).pipeline.transform.labels == ["no", "yes"]
    (absent,) = mistakes(folder, named.replace("model.onnx", "other.onnx"))
    assert "There is no file" in absent
    (outside,) = mistakes(folder, named.replace("models/model.onnx", "../outside.onnx"))
    assert "outside of the project" in outside
    step = "scorer: models/model.onnx, field: x"
    nested = named.replace(f"type: scorer, {step}", "type: scorer, scorer: {type: onnx, model: absent.onnx}, field: x")
    assert "There is no file" in mistakes(folder, nested)[0]


def test_a_missing_pipeline_file_is_told_with_its_neighbour(folder):
    written(folder, GOOD)
    with pytest.raises(InvalidDefinition, match=r"q\.yaml: found no such file; .*Did you mean '.*p\.yaml'\?"):
        load(folder / "q.yaml")


def test_defaults_of_the_project_fill_what_the_file_leaves_open(folder):
    (folder / "loom.yaml").write_text("defaults: {batch_size: 7}\ncache: {ttl_days: 3}\n")
    config = LoomConfig.load()
    filled = load(written(folder, GOOD), config.applied_to).pipeline
    assert (filled.extract.batch_size, filled.transform.cache.ttl) == (7, "3d")
    own = load(
        written(folder, GOOD.replace("source: data.csv", "source: data.csv\n  batch_size: 2")), config.applied_to
    )
    assert own.pipeline.extract.batch_size == 2


def test_a_pipeline_built_in_python_gathers_the_same_files(folder):
    definition = load(written(folder, GOOD)).definition
    assert set(built(definition, folder / "pipeline.py").files) == {"prompts/ask.txt", "context/domain.md"}
    (folder / "context/domain.md").unlink()
    with pytest.raises(InvalidDefinition, match=r"transform\.context\[0\]: found 'context/domain\.md'"):
        built(definition, folder / "pipeline.py")


@pytest.mark.parametrize(
    ("prompt", "path"),
    [
        ("prompts/ask.txt", True),
        ("ask", True),
        ("Classify {{ input.x }}", False),
        ("two words", False),
        ("a\nb", False),
    ],
)
def test_a_prompt_is_a_path_when_it_looks_like_one(tmp_path, prompt, path):
    assert is_path(prompt, tmp_path) is path


def test_a_file_name_with_a_blank_is_a_path_when_the_file_exists(tmp_path):
    (tmp_path / "my prompt.txt").write_text("x")
    assert is_path("my prompt.txt", tmp_path)
