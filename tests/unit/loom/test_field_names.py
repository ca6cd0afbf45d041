"""Tests that a field that neither the source nor the output has is a mistake before a run, wherever a pipeline names
one."""

import json
import sqlite3

import pytest

from loom.preflight import broken_files, checks
from loom.project.config import LoomConfig
from loom.project.definition_file import InvalidFile, load

PIPELINE = """\
name: p
extract: {source: data.csv, key: id}
transform:
  type: ai
  model: ollama:llama3.2
  prompt: |
    Say {{ input.review }}
  output: {mood: string}
evaluate:
  evaluators:
    - {type: exact_match, field: mood, reference_field: label, threshold: 1}
    - {type: contains, field: mood, reference_field: label, threshold: 1}
load: {destination: out.csv, include: [review], key: [id]}
"""
DATA = [{"id": str(number), "review": "good", "label": "positive"} for number in range(3)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("id,review,label\n1,good,positive\n")
    (tmp_path / "empty.csv").write_text("id,review,label\n")
    (tmp_path / "alike.jsonl").write_text("".join(json.dumps(each) + "\n" for each in DATA * 50))
    ragged = [{**each, **({"note": "x"} if at % 2 else {})} for at, each in enumerate(DATA * 50)]
    (tmp_path / "ragged.jsonl").write_text("".join(json.dumps(each) + "\n" for each in ragged))
    (tmp_path / "short.jsonl").write_text("".join(json.dumps(each) + "\n" for each in ragged[:4]))
    with sqlite3.connect("data.db") as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, review TEXT, label TEXT)")
    db.close()
    return tmp_path


async def looked(folder, text):
    (folder / "p.yaml").write_text(text)
    try:
        return await checks.check(load(folder / "p.yaml"), LoomConfig())
    except InvalidFile as error:
        return await broken_files.further(error, LoomConfig())


async def mistakes(folder, text):
    return [str(problem) for check in await looked(folder, text) for problem in check.problems]


async def doubts(folder, text):
    return [check.detail for check in await looked(folder, text) if check.what == "fields" and check.doubtful]


async def test_fields_that_are_there_are_no_mistake(folder):
    assert [check.detail for check in await looked(folder, PIPELINE) if not check.ok or check.doubtful] == []


@pytest.mark.parametrize(
    ("was", "written", "told"),
    [
        ("key: id}", "key: idd}", "p.yaml:2:29: extract.key: found 'idd'; expected a field of the source: id, review"),
        ("key: id}", "key: [id, lable]}", "p.yaml:2:39: extract.key[1]: found 'lable'; expected a field of the source"),
        ("input.review", "input.reviw", "p.yaml:7:12: transform.prompt: found 'reviw'; expected a field of the source"),
        ("input.review", "input['reviw']", "p.yaml:7:12: transform.prompt: found 'reviw'; expected a field of the"),
        (
            "exact_match, field: mood",
            "exact_match, field: mod",
            "p.yaml:11:27: evaluate.evaluators[0].field: found 'mod'; expected a field of the output: mood. Did",
        ),
        (
            "exact_match, field: mood",
            "exact_match, field: label",
            "p.yaml:11:27: evaluate.evaluators[0].field: found 'label' (the source has it, not the output); expected a",
        ),
        (
            "contains, field: mood, reference_field: label",
            "contains, field: mood, reference_field: lable",
            "p.yaml:12:37: evaluate.evaluators[1].reference_field: found 'lable'; expected a field of the source: id,",
        ),
        ("[review]", "[revew]", "p.yaml:13:40: load.include[0]: found 'revew'; expected a field of the source: id,"),
        ("[review]", "[mood]", "p.yaml:13:40: load.include[0]: found 'mood' (the output has it, not the source);"),
        (
            "key: [id]}",
            "key: [idd]}",
            "p.yaml:13:55: load.key[0]: found 'idd'; expected a column of what is loaded: id,",
        ),
        ("key: [id]}", "key: label}", "p.yaml:13:49: load.key[0]: found 'label' (the source has it, not the output);"),
        (
            "{type: contains, field: mood, reference_field: label",
            "{type: factuality, model: m, source_field: revie",
            "p.yaml:12:36: evaluate.evaluators[1].source_field: found 'revie'; expected a field of the source: id,",
        ),
        (
            "{type: contains, field: mood, reference_field: label",
            "{type: relevance, model: m, query_field: quer",
            "p.yaml:12:35: evaluate.evaluators[1].query_field: found 'quer'; expected a field of the source: id,",
        ),
        (
            "{type: contains, field: mood, reference_field: label",
            "{type: pairwise, model: m, baseline_field: old",
            "p.yaml:12:34: evaluate.evaluators[1].baseline_field: found 'old'; expected a field of the source: id,",
        ),
    ],
)
@pytest.mark.parametrize("source", ["data.csv", "sqlite:///data.db?table=t", "alike.jsonl"])
async def test_a_field_that_is_not_there_is_a_mistake_with_its_place(folder, source, was, written, told):
    assert PIPELINE.count(was) == 1
    text = PIPELINE.replace(was, written)
    if source != "data.csv":
        text = text.replace("{source: data.csv, ", f"{{source: '{source}', ")
    found = await mistakes(folder, text)
    place = told if source == "data.csv" or not told.startswith("p.yaml:2:") else told.split(": ", 1)[1]
    assert place in found[0]


async def test_the_field_of_a_scorer_and_the_output_of_vader_are_looked_at(folder):
    text = """\
name: p
extract: {source: data.csv, key: id}
transform: {type: scorer, scorer: vader, field: text}
evaluate:
  evaluators: [{type: range, field: compond, min: 0, threshold: 1}]
load: {destination: out.csv}
"""
    first, second = await mistakes(folder, text)
    assert first.startswith(
        "p.yaml:3:42: transform.field: found 'text'; expected a field of the source: id, review, label."
    )
    assert second.startswith(
        "p.yaml:5:30: evaluate.evaluators[0].field: found 'compond'; expected a field of the output"
    )


async def test_a_prompt_file_is_told_with_its_own_lines(folder):
    (folder / "ask.txt").write_text("Say\n  {{ input.reviw }} {{ input.note | default('') }}\n")
    text = PIPELINE.replace("|\n    Say {{ input.review }}", "ask.txt")
    (found,) = await mistakes(folder, text)
    assert found.startswith(
        "ask.txt:2:6: found 'reviw'; expected a field of the source: id, review, label. Did you mean"
    )


async def test_all_are_told_in_one_round_with_the_other_mistakes_of_the_file(folder):
    text = PIPELINE.replace("input.review", "input.reviw").replace("load: {", "load: {modee: x, ")
    found = [str(each) for each in (await broken(folder, text)).problems] + await mistakes(folder, text)
    assert ["modee" in found[0], "reviw" in found[1], len(found)] == [True, True, 2]


async def broken(folder, text):
    (folder / "p.yaml").write_text(text)
    with pytest.raises(InvalidFile) as caught:
        load(folder / "p.yaml")
    return caught.value


async def test_a_source_that_is_not_there_is_told_beside_the_mistakes_of_the_file(folder):
    text = PIPELINE.replace("data.csv", "absent.csv").replace("load: {", "load: {modee: x, ")
    details = [check.detail for check in await looked(folder, text)]
    assert ["absent.csv" in detail for detail in details] == [True]


async def test_a_stream_with_a_mistake_may_have_a_folder_into_which_no_file_has_come_yet(folder):
    stream = "name: p\nmode: streaming\nextract: {source: 'inbox/*.csv'}\ntransform: {type: passthrough}\n"
    assert await looked(folder, f"{stream}load: {{destination: out.csv, mode: append}}\nwindow: {{records: 0}}\n") == []
    (one,) = await looked(folder, f"{stream}load: {{destination: out.csv}}\n".replace("'inbox/*.csv'", "data.csv"))
    assert "expected in a stream, a folder or a pattern of files" in one.detail


async def test_a_source_that_a_step_joins_with_is_named_as_that_of_the_step(folder):
    join = "{name: j, type: join, source: nothing, on: id, fields: [label]}"
    (told,) = [
        check.detail
        for check in await looked(
            folder,
            "name: p\nextract: {source: data.csv, key: id}\n"
            f"transform: {{type: steps, steps: [{join}]}}\nload: {{destination: out.csv}}\n",
        )
        if check.what == "join j"
    ]
    assert told.startswith("transform.steps.j.source: found 'nothing'; expected a name that ends in one of ")


async def test_where_records_differ_a_field_of_none_that_was_looked_at_is_doubtful(folder):
    text = PIPELINE.replace("data.csv", "ragged.jsonl").replace("input.review", "input.reply")
    assert await mistakes(folder, text) == []
    (words,) = await doubts(folder, text)
    assert "none of the records looked at has reply" in words


async def test_where_records_differ_and_all_were_looked_at_it_is_a_mistake(folder):
    text = PIPELINE.replace("data.csv", "short.jsonl").replace("input.review", "input.reply")
    (found,) = await mistakes(folder, text)
    assert "found 'reply'; expected a field of the source: id, review, label, note" in found


async def test_a_source_without_records_says_nothing_of_its_fields(folder):
    text = PIPELINE.replace("data.csv", "empty.csv").replace("input.review", "input.reply")
    assert await mistakes(folder, text) == []
    (words,) = await doubts(folder, text)
    assert "reply" in words


async def test_what_a_function_returns_is_not_known_beforehand(folder):
    (folder / "mine.py").write_text("def tidy(record): return record\n")
    text = """\
name: p
extract: {source: data.csv, key: id}
transform: {type: python, function: 'mine:tidy'}
evaluate:
  evaluators: [{type: length, field: anything, min: 1, threshold: 1}]
load: {destination: out.csv}
"""
    assert await mistakes(folder, text) == []
    assert ["anything" in words for words in await doubts(folder, text)] == [True]


async def test_a_parameter_that_only_a_run_gives_does_not_hide_the_columns(folder):
    extract = "{source: 'sqlite:///data.db', key: id, query: 'SELECT * FROM t WHERE id > {{ since }}'}"
    text = PIPELINE.replace("{source: data.csv, key: id}", extract)
    text = text.replace("input.review", "input.reviw") + "params: {since: {type: integer}}\n"
    (found,) = await mistakes(folder, text)
    assert "found 'reviw'" in found


async def test_a_parameter_that_nothing_uses_is_doubtful_and_one_that_is_not_there_a_mistake(folder):
    (check,) = [each for each in await looked(folder, PIPELINE + "params: {n: 3}\n") if each.what == "params"]
    assert (check.ok, check.doubtful) == (True, True)
    text = PIPELINE.replace(
        "{source: data.csv, key: id}",
        "\n  source: sqlite:///data.db\n  key: id\n  query: SELECT * FROM t WHERE id > {{ sinc }}",
    )
    (problem,) = (await broken(folder, text + "params: {since: 3}\n")).problems
    assert (problem.line, problem.column, problem.suggestion) == (5, 37, "since")


@pytest.mark.parametrize(
    ("model", "is_openais"),
    [("gpt-4o", True), ("ft:gpt-4o:org::id", True), ("perplexity:sonar", False), ("anthropic/claude-haiku-4-5", False)],
)
async def test_a_model_that_only_somebody_else_can_serve_is_not_sent_to_openai(folder, monkeypatch, model, is_openais):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    found = [each for each in await looked(folder, PIPELINE.replace("ollama:llama3.2", model)) if not each.ok]
    assert ["would be asked of OpenAI" in each.detail for each in found] == ([] if is_openais else [True])
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert [each for each in await looked(folder, PIPELINE.replace("ollama:llama3.2", model)) if not each.ok] == []


async def test_a_provider_that_asks_for_a_key_and_has_none_is_told_beside_the_other_mistakes(folder, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    text = PIPELINE.replace("ollama:llama3.2", "anthropic:claude-haiku-4-5").replace("input.review", "input.reviw")
    failed = [check for check in await looked(folder, text) if not check.ok]
    assert [check.what for check in failed] == ["credentials", "fields"]
    assert "anthropic asks for a key" in failed[0].detail
