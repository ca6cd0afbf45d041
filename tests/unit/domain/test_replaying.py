"""Replays with changes: what becomes of the definition and of the records."""

import pytest

from loom_common.domain.run.replaying import Changes, changed, edited
from loom_common.errors import InvalidDefinition

AI = {
    "name": "reviews",
    "params": {"tone": "kind"},
    "transform": {
        "type": "ai",
        "model": "gpt-4o-mini",
        "prompt": "prompts/a.txt",
        "prompt_version": "v1",
        "context": ["context/rules.md"],
    },
    "evaluate": {
        "evaluators": [
            {"type": "semantic", "reference_field": "x", "threshold": 0.8},
            {"type": "length", "name": "short", "max": 9, "threshold": 1.0},
        ]
    },
}


def test_prompt_model_and_thresholds_are_changed_and_the_rest_stays():
    prompt = "{{ input.review }} {{ context.rules }} {{ params.tone }}"
    made = changed(AI, Changes(prompt=prompt, model="gpt-4o", thresholds={"semantic": 0.5, "short": 0.1}))
    assert made["transform"] == {"type": "ai", "model": "gpt-4o", "prompt": prompt, "context": ["context/rules.md"]}
    assert [each["threshold"] for each in made["evaluate"]["evaluators"]] == [0.5, 0.1]
    assert AI["transform"]["prompt"] == "prompts/a.txt"
    assert AI["evaluate"]["evaluators"][0]["threshold"] == 0.8


@pytest.mark.parametrize(
    ("definition", "changes", "words"),
    [
        (
            AI,
            Changes(thresholds={"semantc": 0.5}),
            "found 'semantc'; expected an evaluator of the pipeline: semantic, short. Did you mean 'semantic'?",
        ),
        (
            {"transform": {"type": "python"}},
            Changes(model="gpt-4o"),
            "found a transform of type python; expected a transform of type ai, which has a model.",
        ),
        (
            AI,
            Changes(prompt="{{ context.rulez }}"),
            "found context.rulez (line 1); expected one of rules. Did you mean 'rules'?",
        ),
    ],
)
def test_what_does_not_fit_the_pipeline_is_named(definition, changes, words):
    with pytest.raises(InvalidDefinition) as raised:
        changed(definition, changes)
    [problem] = raised.value.problems
    assert str(problem).split(": ", 1)[1] == words


@pytest.mark.parametrize(
    ("data", "edits", "after"),
    [
        ({"stars": "5"}, {"stars": "4"}, {"stars": "4"}),
        ({"stars": 5}, {"stars": "4"}, {"stars": 4}),
        ({"stars": None}, {"stars": "4"}, {"stars": 4}),
        ({"stars": 5}, {"stars": "four"}, {"stars": "four"}),
        ({"ok": False}, {"ok": "true"}, {"ok": True}),
        ({"tags": ["a"]}, {"tags": '["b"]'}, {"tags": ["b"]}),
        ({"a": 1}, {"b": "2"}, {"a": 1, "b": "2"}),
        ({"a": "x"}, {"a": 7}, {"a": 7}),
    ],
)
def test_text_is_read_as_the_type_the_field_has(data, edits, after):
    assert edited(data, edits) == after
