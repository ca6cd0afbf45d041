"""Tests what the form of a replay offers to change, and what is read of it."""

import pytest

from loom_api.console.shown.changes import changes_in, offered, thresholds_in
from loom_api.console.shown.done import Done, begun, sentence
from loom_api.console.shown.forms import Form
from loom_common.domain.run.replaying import Changes
from loom_common.errors import ConfigurationError

DEFINITION = {
    "transform": {"type": "ai", "model": "m1"},
    "evaluate": {"evaluators": [{"type": "exact_match", "threshold": 0.5}, {"name": "b", "type": "x"}]},
}
RECORD = {"text": "two\r\nlines", "n": 5, "none": None}
AS_SHOWN = [
    ("prompt", "Say {{ text }}"),
    ("model", "m1"),
    ("threshold:exact_match", "0.50"),
    ("threshold:b", ""),
    ("edit:text", "two\nlines"),
    ("edit:n", "5"),
    ("edit:none", "null"),
]


def read(*fields):
    return changes_in(Form(fields), offered(DEFINITION, "Say {{ text }}", RECORD))


def test_what_was_left_as_it_was_changes_nothing():
    assert read(*AS_SHOWN) is None
    assert read() is None


@pytest.mark.parametrize(
    ("field", "value", "changes"),
    [
        ("prompt", "Sing {{ text }}", Changes(prompt="Sing {{ text }}")),
        ("model", "m2", Changes(model="m2")),
        ("threshold:b", "0.7", Changes(thresholds={"b": 0.7})),
        ("threshold:exact_match", "0.4", Changes(thresholds={"exact_match": 0.4})),
        ("edit:n", "6", Changes(edits={"n": "6"})),
        ("edit:text", "", Changes(edits={"text": ""})),
        ("edit:nothing", "x", None),
        ("prompt", "", None),
    ],
)
def test_what_was_changed_is_read(field, value, changes):
    assert read(*((name, value if name == field else was) for name, was in [*AS_SHOWN, (field, value)])) == changes


def test_a_threshold_that_is_no_number_is_told():
    with pytest.raises(ConfigurationError, match="The threshold of b is no number: 'high'"):
        read(("threshold:b", "high"))


def test_of_a_weighted_gate_only_its_own_threshold_decides():
    gate = {"quality_gate": {"type": "weighted", "threshold": 0.8}, "evaluators": [{"type": "x", "threshold": 1}]}
    assert thresholds_in(gate) == {"gate": 0.8}


def test_a_pipeline_without_a_model_offers_no_prompt():
    offer = offered({"transform": {"type": "python"}}, None)
    assert (offer.asks_a_model, offer.prompt, offer.model) == (False, None, None)


@pytest.mark.parametrize(
    ("done", "status", "words"),
    [
        (None, "running", None),
        (Done.PAUSE, "paused", "The run is paused. Nothing is lost: Resume goes on where it stopped."),
        (Done.PAUSE, "succeeded", "It was asked to be paused. The run is now succeeded."),
        (Done.REPLAY, "running", "The replay has begun. It is this run."),
    ],
)
def test_what_was_done_is_said(done, status, words):
    assert sentence(done, status) == words


def test_how_many_replays_have_begun_is_said():
    assert begun(2, 0) == "2 replays have begun: one for the records of each run."
    assert begun(1, 1).endswith("Of 1 other run, no record that was chosen waits.")
