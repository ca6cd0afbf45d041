"""Tests the graph of a transform's steps: what is wrong with it is told all at once, and its order is its needs'."""

from __future__ import annotations

import time

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.model_options.asking import Asking
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.replaying import Changes, changed
from loom_common.domain.steps.drawn.drawing import as_mermaid, as_text, levels
from loom_common.domain.steps.graph import graph_of
from loom_common.errors import InvalidDefinition

CLASSIFY = {"name": "classify", "type": "scorer", "scorer": "vader", "field": "review"}
ASK = {"name": "a", "type": "ai", "model": "gpt-4o", "prompt": "Say", "output": {"b": "string"}}
ROUTE = {
    "name": "triage",
    "type": "router",
    "needs": "classify",
    "by": "sentiment",
    "routes": {"bad": "negative", "good": ["positive"]},
    "otherwise": "other",
}


def definition(*steps, **transform):
    return {
        "name": "stepped",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": {"steps": list(steps), **transform},
        "load": {"destination": "out.csv"},
    }


def python(name, needs=(), **keys):
    return {"name": name, "type": "python", "function": "code:made", "needs": list(needs), **keys}


def told(*steps, **transform):
    with pytest.raises(InvalidDefinition) as refused:
        parse(definition(*steps, **transform))
    return {each.key: each.expected for each in refused.value.problems}


MISTAKES = {
    "a need that nobody has": (python("a", ["classfy"]), "needs[0]", "did you mean classify?"),
    "a branch that the router lacks": (python("a", ["triage.nice"]), "needs[0]", "triage.bad, triage.good"),
    "a branch of no router": (python("a", ["classify.bad"]), "needs[0]", "it is no router"),
    "itself": (python("a", ["a"]), "needs[0]", "another step than itself"),
    "a name that is taken": (python("classify"), "name", "no other step has"),
    "no expression": (python("a", ["classify"], when="confidence >"), "when", "can be read"),
    "a number that is a text": (python("a", ["classify"], when="confidence > '0.5'"), "when", "declared as number"),
    "a value that cannot be": (python("a", ["classify"], when="sentiment == 'bad'"), "when", "positive, negative"),
    "a field out of sight": (python("a", when="confidence > 0.5"), "when", "needs: [classify]"),
    "what is never true": (python("a", when="false"), "when", "it never is"),
    "a phase that is later": (
        {**python("a", ["later"]), "phase": "staging"}, "needs[0]", "of enrichment, which is later",
    ),
    "a field that is made at the same time": (
        python("a", output={"sentiment": "string"}), "", "another name for `sentiment`",
    ),
    "steps in a step": ({"name": "a", "steps": []}, "", "without `steps` of its own"),
    "a key of the whole": (python("a", max_failures=3), "max_failures", "beside `steps`"),
    "a cascade": (python("a", cascade={"cheap": "vader"}), "cascade", "two steps and a `when` say the same"),
    "a batch": (
        {**ASK, "execution": "batch"}, "execution", "each step would wait for a batch of its own",
    ),
    "probabilities of no field": (
        {**ASK, "logprobs": {"of": "c", "into": "d"}}, "logprobs", "a field that `output` declares (b)",
    ),
    "two answers to a failure": (
        python("a", on_failure="skip", criticality="optional"), "on_failure", "criticality: optional",
    ),
    "a queue that takes longer than the step": (
        {**ROUTE, "name": "a", "queue": "own"}, "queue", "it takes less time than a message",
    ),
    "a queue of a step that compares": (
        {"name": "a", "type": "dedupe", "by": "stars", "queue": "own"}, "queue", "it takes less time than a message",
    ),
    "a queue with a name": (python("a", queue="gpu"), "queue", "own"),
    "branches that exclude each other": (
        python("a", ["triage.bad", "on_good"]), "needs", "no choice of branches leads to all of these",
    ),
    "a branch for a value that cannot be": (
        {**ROUTE, "name": "a", "routes": {"angry": "angry"}}, "routes.angry", "positive, negative, neutral",
    ),
    "values without a branch": (
        {**ROUTE, "name": "a", "otherwise": None}, "routes", "none is for neutral",
    ),
    "a branch after one that takes all": (
        {"name": "a", "type": "router", "routes": {"all": "true", "none": "stars > 3"}}, "routes.none", "takes every",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_the_graph_is_told_where_it_is_written(case):
    step, key, words = MISTAKES[case]
    others = (CLASSIFY, ROUTE, python("on_good", ["triage.good"]), {**python("later"), "phase": "enrichment"})
    found = told(*others, step)
    place = f"transform.steps[4].{key}".rstrip(".")
    assert words in found[place], found
    assert len(found) == 1


def test_every_mistake_is_told_at_once_also_steps_that_wait_for_each_other():
    found = told(python("a", ["b"]), python("b", ["a"]), python("c", ["nobody"], colour="red"))
    assert "a -> b -> a" in found["transform.steps[0].needs"]
    assert set(found) == {"transform.steps[0].needs", "transform.steps[2].needs[0]", "transform.steps[2].colour"}


def test_branches_that_exclude_each_other_may_make_the_same_field():
    sorry = python("sorry", ["triage.bad"], output={"answer": "string"})
    thanks = python("thanks", ["triage.good", "triage.other"], output={"answer": "string"})
    pipeline = parse(
        definition(CLASSIFY, ROUTE, sorry, thanks, python("join", ["sorry", "thanks"], output={"n": "integer"}))
    )
    schema = pipeline.transform.declared_schema
    assert schema["required"] == ["sentiment", "confidence", "compound", "n"]
    assert set(schema["properties"]) == {*schema["required"], "answer"}


def test_later_steps_see_how_probable_an_answer_was():
    sure = {"name": "sure", "type": "filter", "needs": "a", "where": "confidence > 0.9"}
    pipeline = parse(definition({**ASK, "logprobs": True, "seed": 1, "reasoning": "low", "cache_prompt": True}, sure))
    assert set(pipeline.transform.declared_schema["properties"]) == {"b", "confidence"}
    assert pipeline.transform.steps[0].asking == Asking(seed=1, effort="low", cache_prompt=True)
    found = told({**ASK, "logprobs": True}, {**sure, "where": "confidence == 'high'"}, {**CLASSIFY, "name": "other"})
    assert "declared as number or null" in found["transform.steps[1].where"]
    assert "another name for `confidence`" in found["transform.steps[2]"]


def test_a_plan_with_steps_is_read_as_it_was_written():
    pipeline = parse(definition(CLASSIFY, ROUTE, python("a", ["triage.bad"], when="stars > 1", max_attempts=2)))
    plan = Plan(pipeline=pipeline)
    assert Plan.decoded(plan.encoded()) == plan
    assert parse(pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True)) == pipeline


def test_steps_that_need_each_other_not_begin_at_the_same_moment_and_a_phase_after_the_one_before():
    steps = [
        python("a"),
        python("b"),
        python("c", ["a"]),
        {**python("d"), "phase": "quality"},
        {**python("e"), "phase": "staging"},
    ]
    graph = graph_of(steps)
    assert [[node.name for node in level] for level in levels(graph)] == [["a", "b", "e"], ["c", "d"]]
    assert graph.ancestors["d"] == {"e"}


def test_a_graph_of_fifty_steps_is_read_in_a_fifth_of_a_second():
    steps = [CLASSIFY]
    for at in range(16):
        before = f"join{at - 1}" if at else "classify"
        steps.append(
            {**ROUTE, "name": f"r{at}", "needs": before, "by": None, "routes": {"a": "stars > 1", "b": "stars > 0"}}
        )
        steps.append(python(f"x{at}", [f"r{at}.a"], output={f"f{at}": "string"}))
        steps.append(
            python(f"join{at}", [f"x{at}", f"r{at}.b"] if not at else [f"x{at}", before], output={f"g{at}": "string"})
        )
    steps = [{**each, "needs": [f"x{each['name'][4:]}"]} if each["name"].startswith("join") else each for each in steps]
    parse(definition(*steps[:4]))  # the library of expressions is imported by then
    began = time.process_time()
    parse(definition(*steps, python("last", ["join15"])))
    assert len(steps) == 49
    assert time.process_time() - began < 0.2


def test_a_drawing_shows_the_steps_their_branches_and_how_many_records_came():
    steps = parse(definition(CLASSIFY, ROUTE, python("sorry", ["triage.bad"]))).transform.steps
    text = "\n".join(as_text(steps, {"classify": 9, "triage": 9, "triage.bad": 4, "sorry": 4}))
    assert text.splitlines()[2] == "   +-- classify  scorer  vader  [9]"
    assert "by sentiment: bad, good, other  <- classify  [9: bad 4, good 0, other 0]" in text
    flow = "\n".join(as_mermaid(steps))
    assert "step_triage -->|bad| step_sorry" in flow
    assert flow.startswith("flowchart TD")


def test_a_drawing_shows_queues_of_their_own():
    steps = parse(definition({**CLASSIFY, "queue": "own"}, ROUTE)).transform.steps
    assert "scorer  vader  queue loom.transform.classify" in "\n".join(as_text(steps))
    assert '"classify<br/>vader<br/>queue loom.transform.classify"' in "\n".join(as_mermaid(steps))


def test_a_replay_changes_the_step_that_it_names():
    ask = {"type": "ai", "model": "gpt-4o-mini", "prompt": "Say {{ input.id }}", "output": {"a": "string"}}
    written = definition({**ask, "name": "one"}, {**ask, "name": "two", "output": {"b": "string"}})
    made = changed(written, Changes(model="gpt-4o", step="two"))
    assert [step["model"] for step in made["transform"]["steps"]] == ["gpt-4o-mini", "gpt-4o"]
    for changes, words in [
        (Changes(model="gpt-4o"), "several ask models: one, two"),
        (Changes(model="gpt-4o", step="tow"), "a step of the transform: one, two. Did you mean 'two'"),
        (Changes(step="one", prompt="{{ input. }}"), "prompt"),
    ]:
        with pytest.raises(InvalidDefinition, match=words):
            changed(written, changes)


UNNEST = {"name": "lines", "type": "unnest", "field": "review", "into": "line"}
GATHER = {"name": "whole", "type": "gather", "needs": ["made"], "fields": {"all": "b"}}
MADE = {**ASK, "name": "made", "needs": ["lines"]}
DERIVING = {
    "a step beside an unnest": ([UNNEST, python("a")], "steps[1]", "needs: [lines]"),
    "parts of two unnests at once": (
        [UNNEST, {**UNNEST, "name": "more", "into": "m", "number": "n"}], "steps[1]", "needs: [lines]",
    ),
    "nothing to gather": ([python("a"), {**GATHER, "needs": ["a"]}], "needs", "after an `unnest` or a `split`"),
    "a gather of what is not a part": (
        [UNNEST, MADE, python("b"), {**GATHER, "needs": ["made", "b"]}], "needs", "steps that are about what lines",
    ),
    "two gathers": ([UNNEST, MADE, GATHER, {**GATHER, "name": "again"}], "steps[3]", "whole does"),
    "a part after its gather": ([UNNEST, MADE, GATHER, python("c", ["whole", "made"])], "needs[1]", "`whole`, which"),
    "a part that is not gathered": (
        [UNNEST, MADE, python("d", ["lines"]), GATHER], "steps[2]", "a step that whole needs",
    ),
    "a field that was gathered": (
        [UNNEST, MADE, GATHER, python("c", ["whole"], when="b == 'x'")], "when", "needs: [made]",
    ),
    "a split that passes by": ([{**UNNEST, "when": "true"}, MADE, GATHER], "when", "no `when"),
    "an overlap as large as the part": (
        [{"name": "p", "type": "split", "field": "review", "size": 5, "overlap": 5}], "overlap", "less than `size`",
    ),
    "a number that takes the key's place": ([{**UNNEST, "number": "id"}], "steps[0]", "the record's key `id`"),
}  # fmt: skip


@pytest.mark.parametrize("case", DERIVING)
def test_what_is_wrong_about_parts_is_told_with_its_place(case):
    steps, key, words = DERIVING[case]
    found = told(*steps)
    place = next((each for each in found if each.endswith(key)), None)
    assert place is not None, found
    assert words in found[place]


def test_an_output_and_a_key_of_rows_have_to_tell_parts_apart():
    assert "`review_number: integer`" in told(UNNEST, output={"line": "string"})["transform.output"]
    with pytest.raises(InvalidDefinition, match="review_number"):
        parse({**definition(UNNEST), "load": {"destination": "out.csv", "mode": "upsert", "key": ["id"]}})


def test_a_part_of_a_sensitive_field_keeps_its_name():
    with pytest.raises(InvalidDefinition, match="is sensitive"):
        parse({**definition(UNNEST), "sensitive": ["review"]})


def test_rows_of_parts_have_the_key_of_their_record_and_a_number():
    pipeline = parse(definition(UNNEST, MADE))
    assert pipeline.row_key == ("id", "review_number")
    schema = pipeline.transform.declared_schema
    assert list(schema["properties"]) == schema["required"] == ["line", "review_number", "b"]
    gathered = parse(definition(UNNEST, MADE, GATHER))
    assert gathered.row_key == ("id",)
    assert gathered.transform.declared_schema["properties"] == {"all": {"type": "array"}}
