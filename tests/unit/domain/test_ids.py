"""What may be delivered twice has a derived id."""

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.values.ids import batch_id, message_id, record_hash, run_id_for

places = st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99))


@given(places, places)
def test_a_batch_id_names_one_place_of_one_run(one, other):
    assert (batch_id("run_a", *one) == batch_id("run_a", *other)) == (one == other)
    assert batch_id("run_a", *one) != batch_id("run_b", *one)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_ids_are_uuids_of_version_5_as_the_standard_library_makes_them(name):
    namespace = UUID("6b3f0a52-7c1e-5d5e-9a4b-1f6f0c9b7a11")
    assert message_id(name) == str(uuid5(namespace, f"message/{name}"))
    assert run_id_for(name) == f"run_{uuid5(namespace, f'run/{name}').hex[:12]}"


def test_the_same_idempotency_key_is_the_same_run():
    assert run_id_for("tuesday") == run_id_for("tuesday") != run_id_for("wednesday")


def test_equal_rows_at_different_places_are_different_records():
    assert record_hash({"a": 1}, "line 1") != record_hash({"a": 1}, "line 2")
    assert record_hash({"a": 1, "b": 2}, "line 1") == record_hash({"b": 2, "a": 1}, "line 1")


@pytest.mark.parametrize("value", [2**70, "half a pair: \ud800"])
def test_a_record_with_a_value_that_fits_no_machine_word_or_encoding_has_an_id_too(value):
    assert record_hash({"a": value}, "line 1") == record_hash({"a": value}, "line 1")
    assert record_hash({"a": value}, "line 1") != record_hash({"a": value}, "line 2")
