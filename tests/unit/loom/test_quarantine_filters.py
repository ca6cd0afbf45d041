"""Tests which records the options of `loom quarantine` choose."""

from __future__ import annotations

import pytest
import typer

from loom.cli.options.quarantine_filters import OfOneRun


@pytest.mark.parametrize(
    "given", [{"record_ids": ""}, {"record_ids": " , "}, {"reason": ""}, {"reason": " "}, {"evaluator": ""}]
)
def test_an_option_that_says_nothing_does_not_choose_every_record(given):
    chosen = OfOneRun(**given)
    for choose in (chosen.of, chosen.waiting_of):
        with pytest.raises(typer.BadParameter):
            choose("run_1")


def test_ids_are_divided_by_commas():
    assert OfOneRun(record_ids="a, b").of("run_1").record_ids == ("a", "b")
