"""Tests that a request by hand, which names an ontology and sends no files, is given the ontology and its rules."""

from __future__ import annotations

from typing import Any, cast

import pytest

from loom_common.contracts.v1 import RunRequest
from loom_common.errors import InvalidDefinition
from loom_coordinator.intake.definitions.registered import definition_meant

NO_STATE = cast("Any", None)
DEFINITION = {
    "name": "shop",
    "ontology": "retail",
    "extract": {"source": "a.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "out.csv"},
}


async def test_a_request_by_hand_gets_the_ontology_that_it_names():
    meant = await definition_meant(NO_STATE, RunRequest(definition=DEFINITION))
    assert list(meant.files) == ["ontology:retail"]
    assert "quantity_positive" in {each["rule"] for each in meant.definition["extract"]["quality_checks"]}
    again = await definition_meant(NO_STATE, RunRequest(definition=meant.definition, files=meant.files))
    assert (again.definition, again.files) == (meant.definition, meant.files)


async def test_an_ontology_that_is_not_there_is_a_mistake_of_the_request():
    with pytest.raises(InvalidDefinition) as refused:
        await definition_meant(NO_STATE, RunRequest(definition={**DEFINITION, "ontology": "retial"}))
    assert "Did you mean 'retail'?" in str(refused.value)
