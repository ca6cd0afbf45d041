"""Tests which fields may not be sensitive, and what is said of names that are no fields."""

from __future__ import annotations

from typing import Any

import pytest

from loom_common.domain.checks.plan_fields import compared_in_plan
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition


def definition(sensitive: Any, extract: Any = None, load: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "name": "people",
        "sensitive": sensitive,
        "extract": {"source": "people.csv", **(extract or {})},
        "transform": {"type": "passthrough"},
        "load": {"destination": "out.csv", **(load or {})},
        **more,
    }


UNIQUE = {"quality_checks": [{"check": "unique", "column": ["town", "email"]}]}
INCREMENTAL = {"key": "id", "incremental": {"column": "seen"}}
UPDATING = {"mode": "upsert", "key": ["email"], "destination": "sqlite:///x.db?table=t"}


@pytest.mark.parametrize(
    ("said", "place", "why"),
    [
        (definition(["email"], {"key": "email"}), "extract.key", "are the ids of records"),
        (definition(["email"], {"key": ["id", "email"]}), "extract.key[1]", "are the ids of records"),
        (definition(["id"], {"key": "id", "incremental": "seen"}, {"mode": "append"}), "extract.key", "ids of records"),
        (definition(["email"], None, UPDATING), "load.key[0]", "rows are found again by their key"),
        (definition(["email"], {"key": "id"}, ingest={"window": "1h", "key": "email"}), "ingest.key", "come again"),
        (definition(["seen"], INCREMENTAL, {"mode": "append"}), "extract.incremental.column", "the newest value"),
        (definition(["email"], UNIQUE), "extract.quality_checks[0].column[1]", "hashes of its values"),
        (definition(["email"], None, UNIQUE), "load.quality_checks[0].column[1]", "hashes of its values"),
    ],
)
def test_a_field_whose_plain_values_are_kept_may_not_be_sensitive(said, place, why):
    with pytest.raises(InvalidDefinition) as raised:
        parse(said)
    (problem,) = [each for each in raised.value.problems if "not in `sensitive`" in each.expected]
    assert problem.key == place
    assert why in problem.expected


def test_other_fields_may_be():
    checks = {
        "quality_checks": [{"check": "unique", "column": "id"}, {"check": "regex", "column": "email", "pattern": "@"}]
    }
    pipeline = parse(definition(["email", "a.b"], {"key": "id", **checks}))
    assert pipeline.sensitive_fields.names == ("email", "a.b")
    assert not parse(definition([])).sensitive_fields


@pytest.mark.parametrize("names", ["email", [""], ["a..b"], [".a"], [1]])
def test_names_have_to_be_names(names):
    with pytest.raises(InvalidDefinition, match="sensitive"):
        parse(definition(names))


@pytest.mark.parametrize(
    ("names", "problems"),
    [(["email"], 0), (["email.x"], 0), (["emial"], 1), (["stars"], 0), (["emial.x", "nome"], 2)],
)
def test_a_name_that_is_no_field_is_told(names, problems):
    said = definition(names)
    said["transform"] = {"type": "python", "function": "a:b", "output": {"stars": "integer"}}
    found = compared_in_plan(Plan(pipeline=parse(said)), Fields(("id", "email"), certain=True))
    assert len(found.problems) == problems
    assert all("a field of the source or of the output" in each.expected for each in found.problems)
