"""Tests which of two versions of a pipeline takes a record while one is on trial."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.piece import Share
from loom_common.domain.values.sampling import sampled
from loom_common.worker.slices import SliceRecord
from loom_connectors.ports.source import ReadRecord
from loom_extractor.shares import takes, wanted

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(
    data=st.dictionaries(st.sampled_from(["id", "part", "text"]), _ANY),
    keys=st.sampled_from([(), ("id",), ("id", "part")]),
    share=st.floats(0.01, 0.99),
)
def test_each_record_is_taken_by_one_of_the_two(data, keys, share):
    read = ReadRecord("message 1.1", data)
    taken = [takes(Share(canary=share, keys=keys, on_trial=which), read) for which in (False, True)]
    assert sorted(taken) == [False, True]


def test_the_key_decides_wherever_the_record_stands_and_the_place_where_it_has_none():
    share = Share(canary=0.3, keys=("id",), on_trial=True)
    of_key = {takes(share, ReadRecord(f"message {n}.1", {"id": "c7", "n": n})) for n in range(50)}
    assert len(of_key) == 1
    for none in ({"n": 1}, {"id": None}, {"id": ""}):
        without = [takes(share, ReadRecord(f"message {n}.1", none)) for n in range(1000)]
        assert 230 < sum(without) < 370


def test_a_share_is_about_as_large_as_it_says_and_a_larger_one_holds_every_smaller_one():
    records = [ReadRecord("message 1.1", {"id": n}) for n in range(2000)]
    tenth, half = (
        {at for at, each in enumerate(records) if takes(Share(canary=share, keys=("id",), on_trial=True), each)}
        for share in (0.1, 0.5)
    )
    assert 140 < len(tenth) < 260
    assert tenth < half


def test_a_sample_of_the_evaluators_is_drawn_of_both_versions_alike():
    share = Share(canary=0.5, keys=("id",), on_trial=True)
    drawn = [takes(share, ReadRecord("message 1.1", {"id": str(n)})) for n in range(2000) if sampled(str(n), 0.5)]
    assert 400 < sum(drawn) < 600


def test_a_slice_keeps_the_records_of_its_share_and_one_without_a_share_keeps_all():
    read = [ReadRecord(f"message {n}.1", {"id": n}) for n in range(40)]
    records = [SliceRecord(str(n), {"id": n}) for n in range(40)]
    both = [wanted(Share(canary=0.5, keys=("id",), on_trial=which), read, records) for which in (False, True)]
    assert sorted(int(each.id) for kept in both for each in kept) == list(range(40))
    assert min(map(len, both)) > 5
    assert wanted(None, read, records) == records
