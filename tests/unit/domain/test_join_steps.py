"""Tests what is wrong with steps that join, and what is known of the fields that they add."""

from __future__ import annotations

import pytest

from loom_common.domain.checks.field_names import compared
from loom_common.domain.definition.pipeline import models_of
from loom_common.domain.definition.reader import parse
from loom_common.domain.steps.drawn.drawing import as_text
from loom_common.domain.steps.views import by_step
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, Problem

BY_ID = {"name": "vendor", "type": "join", "source": "vendors.csv", "on": {"vendor": "id"}, "fields": ["country"]}
ALIKE = {key: value for key, value in BY_ID.items() if key != "on"} | {"alike": "name", "model": "gpt-4o"}


def definition(*steps, **sections):
    return {
        "name": "joined",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": {"steps": list(steps)},
        "load": {"destination": "out.csv"},
        **sections,
    }


WRONG = {
    "nothing to find rows by": ([{**BY_ID, "on": None}], "steps[0]", "one of `on` and `alike`"),
    "two ways to find rows": ([{**ALIKE, "on": "id"}], "steps[0]", "one of `on` and `alike`"),
    "words that decide": ([{**ALIKE, "model": None}], "steps[0]", "`model` beside `alike`"),
    "vectors without words": ([{**BY_ID, "embedding": "openai:e"}], "embedding", "no `embedding` without `alike`"),
    "nearness without vectors": ([{**ALIKE, "similarity": 0.5}], "similarity", "no `similarity` without an"),
    "vectors that decide": ([{**ALIKE, "model": None, "embedding": "openai:e"}], "steps[0]", "or a `model`, which"),
    "vectors of nobody": ([{**ALIKE, "embedding": "opnai:e"}], "embedding", "with one of"),
    "a prompt for nobody": ([{**BY_ID, "prompt": "Which?"}], "prompt", "no `prompt` without a `model`"),
    "several and a model": ([{**ALIKE, "several": "first"}], "several", "no `several` beside a `model`"),
    "an unknown way": ([{**BY_ID, "missing": "drop"}], "missing", "null"),
    "no fields": ([{**BY_ID, "fields": []}], "fields", "1"),
    "the key of the source": ([{**BY_ID, "fields": ["id"]}], "fields", "another name: it would overwrite"),
    "a password in clear": ([{**BY_ID, "source": "postgres://u:p@h/d"}], "source", "a credential reference"),
    "an unknown provider": ([{**ALIKE, "model": "opnai:gpt-4o"}], "model", "with one of"),
    "a parameter of Loom's": ([{**ALIKE, "params": {"temperature": 1}}], "params", "`temperature`"),
    "a field of a later step": (
        [BY_ID, {"name": "f", "type": "filter", "where": "country == 'FR'"}], "where", "`needs: [vendor]` here",
    ),
    "two steps with one field": ([BY_ID, {**BY_ID, "name": "other"}], "steps[1]", "another name for `country`"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_about_joins_is_told_with_its_place(case):
    steps, key, words = WRONG[case]
    with pytest.raises(InvalidDefinition) as refused:
        parse(definition(*steps))
    [problem] = [each for each in refused.value.problems if words in each.expected]
    assert problem.key.endswith(key)


def test_rows_are_in_clear_and_so_no_field_of_theirs_is_sensitive():
    with pytest.raises(InvalidDefinition, match="the rows with `country` are kept in clear"):
        parse(definition(BY_ID, sensitive=["country"]))


def test_a_join_that_asks_is_known_as_a_question_to_its_model():
    pipeline = parse(definition(BY_ID, {**ALIKE, "name": "other", "prefix": "other_"}))
    assert list(models_of(pipeline)) == ["gpt-4o"]
    [(place, alone)] = list(by_step(pipeline))
    assert place == ("transform", "steps", 1)
    assert alone.transform.type == "ai"
    assert alone.transform.output["properties"]["matching_candidate"]["maximum"] == 5


def test_what_was_read_is_read_again_with_all_its_defaults():
    pipeline = parse(definition(BY_ID, {**ALIKE, "name": "other", "prefix": "other_"}))
    assert parse(pipeline.model_dump(mode="json", by_alias=True, exclude_none=True)) == pipeline


class _Keys:
    def problem(self, path, found, expected, suggestion=None):
        return Problem(path, found, expected, suggestion)


def test_fields_that_the_record_lacks_are_told_and_those_that_are_added_are_known():
    written = definition({**BY_ID, "on": {"vendr": "id"}}, load={"destination": "out.csv", "key": "country"})
    [problem] = compared(_Keys(), written, None, Fields(("id", "vendor"), certain=True)).problems
    assert (problem.key, problem.suggestion) == ("transform.steps[0].on.vendr", "vendor")


def test_the_drawing_shows_with_what_a_step_joins_and_by_what():
    drawn = "\n".join(as_text([BY_ID, {**ALIKE, "needs": ["vendor"], "name": "next"}]))
    assert "vendors.csv by vendor = id" in drawn
    assert "vendors.csv by name, gpt-4o  <- vendor" in drawn
