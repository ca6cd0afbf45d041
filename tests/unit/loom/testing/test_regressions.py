"""Breaks a pipeline in ten ways, each of which its tests must find."""

import pytest

from support.tested_pipelines import change

REGRESSIONS = {
    "the prompt forgets irony": ("prompt.txt", " Irony is negative.", "", "irony"),
    "the prompt reads another field": ("prompt.txt", "input.review", "input.id", "praise"),
    "the prompt lacks the review": ("prompt.txt", "{{ input.review }}", "", "praise"),
    "the schema loses a class": ("pipeline.yaml", "negative, neutral]", "negative]", "a fact"),
    "the schema renames a field": ("pipeline.yaml", "    mood: {enum", "    tone: {enum", "praise"),
    "the model is a weaker one": ("pipeline.yaml", "model: gpt-4o-mini", "model: gpt-4.1-nano", "praise"),
    "the answer is cut off": ("pipeline.yaml", "max_tokens: 60", "max_tokens: 3", "praise"),
    "the gate lets unsure answers through": ("pipeline.yaml", "min: 0.6", "min: 0.1", "an unsure answer is kept back"),
    "the data lost its column": ("reviews.csv", "id,review", "id,text", "they arrive"),
    "the data has more complaints": ("reviews.csv", "It is good.", "It is bad.", "the mix of moods"),
}


@pytest.mark.parametrize("regression", REGRESSIONS)
def test_a_regression_is_found(loom, recorded, regression):
    """The regression is found by the recordings alone, and also once the answers to changed questions have been
    recorded."""
    file, before, after, test = REGRESSIONS[regression]
    change(recorded / file, before, after)
    replayed = loom("test", "--filter", test, "--format", "json")
    assert replayed.code in (1, 2)
    assert replayed.verdicts[test] != "passed"
    if "is recorded for this question" in replayed.messages[test]:
        updated = loom("test", "--filter", test, "--update", "--format", "json")
        assert updated.verdicts[test] != "passed", "recording new answers does not make a wrong one right"
        assert "is recorded for this question" not in updated.messages[test]
