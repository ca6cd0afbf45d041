"""Tests which records people are shown, in which order, and which of their labels count."""

from __future__ import annotations

import datetime as dt
from itertools import product

import pytest

from loom.labelling.drawing import Near, laid_out
from loom.labelling.people import agreed, counted, of_people
from loom.labelling.subject import Subject
from loom_common.domain.run.gates import BUILTIN, Score, weighted
from loom_coordinator.db.outputs.labels import BORDERLINE, RANDOM, Label, SampledRecord

NEAR = [Near(place / 100, 0, f"n{place}", place / 100) for place in range(30)]
CHANCE = [NEAR[3], *(Near(0.5, 0, f"c{place}", 0.5) for place in range(29))]


def drawn(count: int) -> list[SampledRecord]:
    _, records = laid_out(NEAR, CHANCE, count, 500, 0.5)
    return [SampledRecord(**each, gone=None) for each in records]


def label(record_id: str, person: str, verdict: str) -> Label:
    return Label(record_id, person, verdict, None, None, None, None, "terminal", dt.datetime.now(dt.UTC))


def test_the_nearest_record_comes_first_and_half_of_the_records_are_drawn_at_random():
    records = drawn(20)
    assert [each.place for each in records] == list(range(1, 21))
    assert records[0].record_id == "n0"
    assert sum(each.draw is not None for each in records) == pytest.approx(10, abs=1)
    assert all(each.probability == 1.0 for each in records if each.stratum == BORDERLINE)


def test_a_record_drawn_at_random_has_the_probability_with_which_it_was_drawn():
    records = drawn(20)
    nearest = sum(each.nearness is not None for each in records)
    random = [each for each in records if each.stratum == RANDOM]
    assert {each.probability for each in random} == {len(random) / (500 - nearest)}


def test_a_record_that_is_near_and_was_drawn_is_shown_once_and_counts_as_near():
    records = drawn(20)
    both = [each for each in records if each.record_id == "n3"]
    assert len(both) == 1
    assert (both[0].stratum, both[0].nearness, both[0].draw) == (BORDERLINE, 4, 1)


def test_a_larger_sample_begins_like_a_smaller_one():
    small, large = drawn(11), drawn(40)
    assert [each.record_id for each in large[:11]] == [each.record_id for each in small]


def test_a_sample_of_all_records_holds_each_once():
    near = [Near(0.1 * place, 0, f"r{place}", 0.1) for place in range(7)]
    (nearest, _), records = laid_out(near, list(reversed(near)), 7, 7, 0.5)
    assert {each["record_id"] for each in records} == {f"r{place}" for place in range(7)}
    assert 0 < nearest <= 7


@pytest.mark.parametrize("stop", range(1, 21))
def test_wherever_a_person_stops_the_nearest_are_whole_and_the_others_drawn_at_random(stop):
    records = drawn(20)
    whole, by_chance = counted(records, {each.record_id: True for each in records[:stop]})
    shown = {each.record_id for each in records[:stop]}
    assert {each.record_id for each in (*whole, *by_chance)} == shown
    assert [each.nearness for each in whole] == list(range(1, len(whole) + 1))


def test_a_label_behind_a_gap_does_not_count_and_a_record_that_is_gone_leaves_none():
    records = drawn(8)
    nearest = [each for each in records if each.nearness is not None]
    said = {each.record_id: True for each in nearest if each.nearness != 2}
    whole, _ = counted(records, said)
    assert [each.nearness for each in whole] == [1]
    gone = [SampledRecord(**{**each.as_json(), "gone": "lost" if each.nearness == 2 else None}) for each in records]
    whole, _ = counted(gone, said)
    assert [each.nearness for each in whole] == sorted(each.nearness for each in nearest)


def test_most_persons_decide_and_where_they_are_divided_nobody_does():
    said = [
        label("a", "ann", "pass"),
        label("a", "bob", "pass"),
        label("a", "cy", "fail"),
        label("b", "ann", "pass"),
        label("b", "bob", "fail"),
        label("c", "ann", "skip"),
        label("d", "ann", "fail"),
        label("d", "bob", "skip"),
    ]
    assert agreed(said) == {"a": True, "b": None, "c": None, "d": False}
    (pair,) = [each for each in of_people(said) if (each.one, each.other) == ("ann", "bob")]
    assert (pair.records, pair.agreement) == (2, 0.5)


@pytest.mark.parametrize("gate", ["all_pass", "any_pass", "majority_pass", "weighted"])
def test_a_record_passes_its_gate_where_its_margin_is_not_below_zero(gate):
    limits = {"a": 0.5, "b": 0.5, "c": 0.2, "d": 0.9}
    weights = {"a": 1.0, "b": 2.0, "c": 1.0, "d": 0.5}
    threshold = 0.6 if gate == "weighted" else None
    subject = Subject("gate", threshold, gate, limits, weights)
    decide = weighted(0.6) if gate == "weighted" else BUILTIN[gate]
    for values in product([0.1, 0.5, 0.9], repeat=4):
        scores = dict(zip(limits, values, strict=True))
        verdict = decide([Score(name, value, limits[name], weights[name]) for name, value in scores.items()])
        score = subject.score(scores)
        assert score is not None
        assert (score >= subject.limit) is bool(verdict.passed), values
    assert subject.score({"a": 1.0}) is None
