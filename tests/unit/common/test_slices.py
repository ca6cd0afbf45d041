"""A slice is cut into batches by position, and its messages say everything about it."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import BatchEvaluated, BatchExtracted, ExtractSlice, RecordsQuarantined, SliceExtracted
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.record_bytes import MIB
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.tally import Tally
from loom_common.errors import PermanentError, RecordError
from loom_common.flow import Stage
from loom_common.worker import router
from loom_common.worker.context import Context
from loom_common.worker.slices import SliceRecord, cut, enough, wanted, wanted_bytes


def request_of(**changes) -> ExtractSlice:
    fields = {"run_id": "run_1", "pipeline": "p", "plan": "x", "epoch": 2, "partition": 0, "slice": 4}
    return ExtractSlice(**{**fields, "max_batches": 3, **changes})


def good(name: str) -> SliceRecord:
    return SliceRecord(name, {"id": name})


def bad(name: str) -> SliceRecord:
    return SliceRecord(name, {"id": name}, RecordError("torn", code="ragged_row"))


EVERY_STAGE = tuple(Stage)
NOTHING_BETWEEN = (Stage.EXTRACT, Stage.LOAD)


def extract_of(**changes) -> ExtractConfig:
    return ExtractConfig(source="x.csv", batch_size=2, **changes)


def slice_of(records, request=None, *, end=False, on_failure="quarantine", stages=EVERY_STAGE, unchecked=False):
    return cut(
        request or request_of(),
        records,
        extract=extract_of(),
        cursor=7,
        end=end,
        on_failure=on_failure,
        stages=stages,
        unchecked=unchecked,
    )


def routed(records, request=None, *, attempt: int = 1, **how):
    request = request or request_of()
    return router.sliced(request, slice_of(records, request, **how), Context(Attempt(attempt)))


def of_type(outgoing, kind):
    return [each.message for each in outgoing if isinstance(each.message, kind)]


@pytest.mark.parametrize(("limit", "expected"), [(None, 6), (100, 6), (4, 4), (0, 0), (-1, 0)])
def test_a_slice_holds_no_more_than_its_batches_and_what_the_run_may_still_extract(limit, expected):
    assert wanted(request_of(limit=limit), batch_size=2) == expected


@pytest.mark.parametrize(("batches", "expected"), [(1, 8), (8, 64), (64, 64)])
def test_a_slice_has_no_more_bytes_than_its_batches_and_than_the_pipeline_says(batches, expected):
    extract = extract_of(batch_mb=8, slice_mb=64)
    assert wanted_bytes(request_of(max_batches=batches), extract) == expected * MIB


@pytest.mark.parametrize("size", [None, 10 * MIB])
def test_a_batch_ends_before_the_record_that_makes_it_too_large(size):
    parts = (0.4, 0.4, 0.4, 3, 0, 0)
    records = [SliceRecord(str(at), {"text": "x" * int(part * MIB)}) for at, part in enumerate(parts)]
    found = cut(
        request_of(),
        records,
        extract=extract_of(batch_mb=1).model_copy(update={"batch_size": 4}),
        cursor=7,
        end=False,
        on_failure="quarantine",
        stages=EVERY_STAGE,
        size=size,
    )
    assert [[each.id for each in batch.records] for batch in found.batches] == [["0", "1"], ["2"], ["3"], ["4", "5"]]


@pytest.mark.parametrize(("limit", "count", "expected"), [(None, 9, False), (3, 2, False), (3, 3, True)])
def test_a_run_with_a_limit_has_enough_when_it_is_reached(limit, count, expected):
    assert enough(request_of(limit=limit), count) is expected


def test_records_are_cut_in_their_order_and_the_last_batch_is_what_is_left():
    batches = slice_of([good("a"), good("b"), good("c")]).batches
    assert [[record.id for record in batch.records] for batch in batches] == [["a", "b"], ["c"]]


def test_a_bad_record_is_kept_back_and_still_counts_as_extracted():
    [batch] = slice_of([good("a"), bad("b")]).batches
    assert [record.id for record in batch.records] == ["a"]
    assert [(record.record_id, record.code, record.outcome) for record in batch.kept] == [
        ("b", "ragged_row", "quarantined")
    ]
    assert batch.extracted == 2


def test_a_bad_record_is_skipped_or_ends_the_run_where_the_pipeline_says_so():
    [batch] = slice_of([bad("a")], on_failure="skip").batches
    assert batch.kept[0].outcome == "skipped"
    with pytest.raises(PermanentError, match=r"Record a: torn \(on_failure: abort\)"):
        slice_of([bad("a")], on_failure="abort")


def test_a_slice_without_records_has_no_batches_and_a_fact():
    [only] = routed([], end=True)
    assert str(only.route) == "loom.events/slice.extracted.p"
    assert (only.message.batches, only.message.end, only.message.cursor) == ((), True, 7)


def test_the_end_of_what_a_run_may_extract_is_the_end_of_its_source():
    assert slice_of([good("a")], request_of(limit=1)).end
    assert not slice_of([good("a")], request_of(limit=2)).end


def test_the_fact_comes_first_and_each_batch_goes_on_before_its_kept_records():
    outgoing = routed([good("a"), bad("b"), good("c")])
    assert [str(each.route) for each in outgoing] == [
        "loom.events/slice.extracted.p",
        "loom.work/transform.p",
        "loom.quarantine/quarantine.extract.p",
        "loom.work/transform.p",
    ]


def test_a_batch_of_bad_records_alone_is_reported_and_not_published():
    outgoing = routed([bad("a"), bad("b"), good("c")])
    [fact] = of_type(outgoing, SliceExtracted)
    assert [batch.header.position for batch in of_type(outgoing, BatchExtracted)] == [1]
    assert [(each.position, each.tally.extracted, each.tally.quarantined) for each in fact.batches] == [
        (0, 2, 2),
        (1, 1, 0),
    ]


def test_a_slice_that_is_asked_for_again_publishes_only_the_batches_that_are_wanted():
    outgoing = routed([bad("a"), good("b"), good("c")], request_of(positions=(1,)))
    [fact] = of_type(outgoing, SliceExtracted)
    assert [batch.header.position for batch in of_type(outgoing, BatchExtracted)] == [1]
    assert of_type(outgoing, RecordsQuarantined) == []
    assert [each.position for each in fact.batches] == [0, 1]


def test_the_same_slice_has_the_same_ids_whoever_extracts_it():
    records = [good("a"), bad("b"), good("c")]
    once, again = routed(records), routed(records)
    assert [each.message.message_id for each in once] == [each.message.message_id for each in again]


def test_batches_whose_keys_are_not_checked_are_extracted_first():
    outgoing = routed([good("a")], unchecked=True)
    assert [str(each.route) for each in outgoing[1:]] == ["loom.work/extract.p"]


def test_kept_records_name_the_attempt_that_kept_them():
    [kept] = of_type(routed([bad("a")], attempt=3), RecordsQuarantined)
    assert [record.attempts for record in kept.records] == [3]


def test_batches_go_past_stages_without_work_and_the_fact_counts_what_these_let_through():
    outgoing = routed([good("a"), bad("b"), good("c")], stages=NOTHING_BETWEEN)
    first, second = of_type(outgoing, BatchEvaluated)
    assert [str(each.route) for each in outgoing if each.message in (first, second)] == ["loom.work/load.p"] * 2
    assert [(each.id, each.result, each.scores) for each in first.records] == [("a", {"id": "a"}, {})]
    [fact] = of_type(outgoing, SliceExtracted)
    assert [each.tally for each in fact.batches] == [first.header.tally, second.header.tally]
    tally = first.header.tally
    assert tally == Tally(extracted=2, quarantined=1, transformed=1, passed=1)


def test_a_batch_without_a_good_record_is_not_published_past_stages_without_work_either():
    outgoing = routed([bad("a"), bad("b")], stages=NOTHING_BETWEEN)
    assert [type(each.message) for each in outgoing] == [SliceExtracted, RecordsQuarantined]
    [fact] = of_type(outgoing, SliceExtracted)
    assert fact.batches[0].tally.balanced


def test_keys_are_checked_before_stages_without_work_are_passed():
    [fact, batch] = routed([good("a")], stages=NOTHING_BETWEEN, unchecked=True)
    assert str(batch.route) == "loom.work/extract.p"
    assert (batch.message.header.tally, fact.message.batches[0].tally.transformed) == (fact.message.batches[0].tally, 0)
