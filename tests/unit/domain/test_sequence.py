"""Tests how records of one key stay in sequence: which batch of a slice takes them, and in which round they are
processed."""

from __future__ import annotations

from collections import Counter, defaultdict
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.sequence import Lanes, in_rounds, key_in, rounds

KEYS = st.lists(st.sampled_from(["a", "b", "c", "d", 7, "7", None]), max_size=60)
SIZES = st.integers(1, 9)


def inputs(keys):
    return [{"c": key} for key in keys]


@given(KEYS, SIZES)
def test_a_key_has_one_lane_and_no_batch_is_larger_than_it_may_be(keys, size):
    lanes = Lanes.of(["c"], len(keys), size)
    fitting = lanes.fitting(inputs(keys), size)
    assigned = lanes.assigned(inputs(keys))
    assert lanes.assigned(inputs(keys[:fitting])) == assigned[:fitting]  # what is cut off changes nothing
    of_key = defaultdict(set)
    for key, lane in zip(keys, assigned, strict=True):
        of_key[str(key) if key is not None else None].add(lane)
    assert all(len(each) == 1 for each in of_key.values())
    sizes = Counter(assigned[:fitting])
    assert max(sizes.values(), default=0) <= size
    assert fitting == len(keys) or sizes[assigned[fitting]] == size
    assert not keys or fitting > 0


def test_keys_are_spread_over_as_few_batches_as_hold_them():
    assert Lanes.of(["c"], 4, 4).assigned(inputs("abcd")) == [0, 0, 0, 0]
    assert Lanes.of(["c"], 8, 4).assigned(inputs("abcdabcd")) == [0, 1, 0, 1, 0, 1, 0, 1]
    assert Lanes.of(["c"], 8, 4).fitting(inputs("aaaaaaaa"), 4) == 4
    assert Lanes.of([], 8, 4) is None


@given(KEYS)
def test_a_round_has_one_record_of_a_key_and_comes_after_those_before_it(keys):
    records = [SimpleNamespace(input=each) for each in inputs(keys)]
    found = rounds(records, ["c"])
    assert sorted(place for each in found for place in each) == list(range(len(keys)))
    placed = {place: at for at, each in enumerate(found) for place in each}
    for key in set(map(str, keys)):
        mine = [placed[at] for at, each in enumerate(keys) if str(each) == key]
        assert mine == list(range(len(mine)))
    assert all(each == sorted(each) for each in found)


def test_an_object_is_the_same_key_in_whatever_order_its_fields_stand_and_true_is_the_text_true():
    assert key_in({"a": {"x": 1, "y": "ü"}}, ["a"]) == key_in({"a": {"y": "ü", "x": 1}}, ["a"])
    assert key_in({"a": {"x": 1}}, ["a"]) == key_in({"a": '{"x": 1}'}, ["a"])
    assert key_in({"a": True}, ["a"]) == key_in({"a": "true"}, ["a"])


def test_several_fields_are_one_key_and_without_any_there_are_no_rounds():
    assert key_in({"a": 1, "b": "x"}, ["a", "b"]) == key_in({"a": "1", "b": "x", "c": 2}, ["a", "b"])
    assert key_in({"a": "1x", "b": ""}, ["a", "b"]) != key_in({"a": "1", "b": "x"}, ["a", "b"])
    assert in_rounds([]) is None
