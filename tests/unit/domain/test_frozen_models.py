"""Tests copies of frozen models."""

from __future__ import annotations

import copy
import pickle

import pytest
from pydantic import ValidationError

from loom_common.domain.frozen_models import replaced
from loom_common.domain.run.tally import Tally

TALLY = Tally(extracted=5, quarantined=1)


def test_a_copy_is_what_the_library_would_make():
    mine, theirs = replaced(TALLY, transformed=4), TALLY.model_copy(update={"transformed": 4})
    assert mine == theirs
    assert mine.model_fields_set == theirs.model_fields_set == {"extracted", "quarantined", "transformed"}
    assert (mine.model_dump(), mine.model_dump_json()) == (theirs.model_dump(), theirs.model_dump_json())
    assert (hash(mine), repr(mine)) == (hash(theirs), repr(theirs))


def test_the_model_stays_as_it_was_and_the_copy_is_frozen():
    copied = replaced(TALLY, extracted=6)
    assert (TALLY.extracted, copied.extracted) == (5, 6)
    with pytest.raises(ValidationError, match="frozen"):
        copied.extracted = 7


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_can_be_copied_and_travels(again):
    assert again(replaced(TALLY, transformed=4)) == replaced(TALLY, transformed=4)
