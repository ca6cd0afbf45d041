"""Tests the dataclasses of which there are several for each record."""

import copy
import pickle

import pytest

from loom_common.contracts.v1 import EvaluatedRecord, ExtractedRecord


def test_they_are_compared_by_value_and_printed_with_their_fields():
    record = ExtractedRecord("1", {"text": "fine"})
    assert record == ExtractedRecord("1", {"text": "fine"}) != ExtractedRecord("2", {"text": "fine"})
    assert repr(record) == "ExtractedRecord(id='1', input={'text': 'fine'}, derived=None)"


def test_they_have_slots_and_no_other_attributes():
    with pytest.raises(AttributeError):
        ExtractedRecord("1", {}).other = 1


def test_each_has_defaults_of_its_own():
    assert EvaluatedRecord("1", {}, None).scores is not EvaluatedRecord("2", {}, None).scores


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))])
def test_they_travel_to_other_processes(copied):
    record = EvaluatedRecord("1", {"text": "fine"}, None, scores={"a": 0.5})
    assert copied(record) == record
