"""Tests what of a handler's result is sealed, and what is told in words."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import AsyncMock

from loom_common.contracts.v1 import (
    BatchTransformed,
    EndInSteps,
    EvaluatedRecord,
    Evaluation,
    ExtractSlice,
    Interaction,
    KeptRecord,
    PartInSteps,
    RecordInSteps,
    TakenStep,
    TransformedRecord,
)
from loom_common.domain.run.piece import Piece
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.domain.sealing.tokens import is_sealed, masked
from loom_common.sealed_stages.amid_steps import opened_amid
from loom_common.sealed_stages.batches import opened_place, opened_slice, sealed_place
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.sealed_stages.results import sealed_result
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.keys import Key, Keys
from loom_common.sealing.sealer import Sealer
from loom_common.worker.slices import Slice, SlicedRecords
from loom_common.worker.stage_result import Evaluated, HandedOn, Transformed

SEALER = Sealer("people", SensitiveFields(["email"]), Keys([Key(bytes(32))]))
ADA = {"id": 1, "email": "ada@example.org"}
REQUEST = ExtractSlice(run_id="r", pipeline="people", plan="x", epoch=1, partition=0, slice=0, max_batches=1)


def kept(code: str, data: dict[str, object], **more: object) -> KeptRecord:
    said = f"found {data!r}"
    return KeptRecord(record_id="1", outcome="quarantined", code=code, reason=said, input=data, **more)


def test_a_record_that_was_not_read_whole_is_sealed_whole():
    batch = SlicedRecords((), (kept("ragged_row", {"id": "x", "raw": "ada"}), kept("late", ADA)))
    [torn, late] = sealed_result(Slice((batch,), {"after": "ada"}, end=False), REQUEST, SEALER).batches[0].kept
    assert masked(torn.input) == {"id": "***", "raw": "***"}
    assert torn.reason == "found {'id': '***', 'raw': '***'}"
    assert masked(late.input) == {"id": 1, "email": "***"}
    assert late.reason == "found {'id': 1, 'email': '***'}"


def test_places_of_a_source_are_sealed():
    sliced = sealed_result(Slice((), {"after": "ada"}, end=False), REQUEST, SEALER)
    assert SEALER.opened_value("cursor", sliced.cursor) == {"after": "ada"}
    [piece] = sealed_result([Piece(start=None, until=["ada"])], REQUEST, SEALER)
    assert piece.start is None
    assert is_sealed(piece.until)


def test_of_a_place_among_what_was_received_the_page_is_shown():
    place = {"page": 7, "record": 2, "state": {"file": "ada.jsonl"}}
    sealed = sealed_result(Slice((), place, end=False), REQUEST, SEALER).cursor
    assert {**sealed, "state": None} == {"page": 7, "record": 2, "state": None}
    assert is_sealed(sealed["state"])
    request = REQUEST.model_copy(update={"cursor": sealed, "piece": Piece(start=sealed, until=None)})
    opened = opened_slice(request, SEALER)
    assert (opened.cursor, opened.piece.start) == (place, place)
    quiet = {"page": 7, "record": 2, "state": None}
    assert sealed_result(Slice((), quiet, end=False), REQUEST, SEALER).cursor == quiet


async def test_a_slice_that_has_gone_no_further_keeps_the_cursor_that_it_was_asked_with():
    plan = SimpleNamespace(pipeline=SimpleNamespace(sensitive=["email"], name="people", evaluate=None))
    plan.pipeline.sensitive_fields = SEALER.fields
    stages = SealedStages(SimpleNamespace(get=AsyncMock(return_value=plan)), Keyring({}, None))
    stages.sealer = AsyncMock(return_value=SEALER)
    place = {"page": 7, "record": 2, "state": {"file": "ada.jsonl"}}
    request = REQUEST.model_copy(update={"cursor": sealed_place(place, SEALER)})

    async def read(opened, _):
        return Slice((), {**opened.cursor, "record": opened.cursor["record"] + opened.slice}, end=False)

    assert (await stages.of(read)(request, None)).cursor == request.cursor
    further = (await stages.of(read)(request.model_copy(update={"slice": 1}), None)).cursor
    assert opened_place(further, SEALER) == {**place, "record": 3}


def test_what_a_model_said_is_sealed_and_what_a_rule_said_is_told():
    asked = Interaction(
        model="m", prompt="Of Ada?", answer={"score": 1}, calls=1, tokens_in=1, tokens_out=1, cost=0.0, seconds=0.0
    )
    said = [
        Evaluation(record_id="1", name="judge", score=1.0, passed=True, explanation="She is 36", interactions=(asked,)),
        Evaluation(record_id="1", name="judge", score=1.0, passed=True, explanation="She is 36"),
        Evaluation(record_id="1", name="rule", score=0.0, passed=False, explanation="ada@example.org is short"),
    ]
    header = {"run_id": "r", "pipeline": "people", "plan": "x", "epoch": 1, "batch_id": "b", "partition": 0, "slice": 0}
    batch = BatchTransformed.model_validate(
        {
            "header": {**header, "position": 0, "tally": {}},
            "records": [TransformedRecord("1", ADA, {"note": "to ADA@example.org", "n": 1})],
        }
    )
    passed = EvaluatedRecord("1", ADA, {"note": "to ADA@example.org", "n": 1})
    details = {"prompt": "Of Ada?", "field": "email", "raw": "36", "said": ["x"]}
    result = Evaluated(records=(passed,), evaluations=said, kept=[kept("invalid_output", ADA, details=details)])
    sealed = sealed_result(result, batch, SEALER, frozenset({"judge"}))
    assert [masked(each.explanation) for each in sealed.evaluations] == ["***", "***", "*** is short"]
    assert masked(sealed.evaluations[0].interactions[0].model_dump())["prompt"] == "***"
    assert masked(sealed.evaluations[0].interactions[0].answer) == {"score": "***"}
    assert masked(sealed.records[0].output) == {"note": "***", "n": 1}
    assert masked(sealed.kept[0].details) == {"prompt": "***", "field": "email", "raw": "***", "said": ["***"]}
    assert SEALER.opened(sealed.kept[0].details) == details


def test_a_record_amid_steps_holds_no_value_in_clear_and_is_opened_as_it_was():
    steps = (TakenStep("mood", output={"note": "to ada@example.org", "n": 1}), TakenStep("route", branch="good"))
    failed = EndInSteps("short", code="transform_error", reason="ada@example.org!", details={"raw": "36"})
    part = PartInSteps("lines", 0, {"line": "of ada@example.org"}, steps, failed)
    record = RecordInSteps("1", ADA, None, steps, None, (part,))
    others = Transformed(records=(), kept=[kept("transform_error", ADA)])
    result = HandedOn(records=(record,), step="word", taken=("mood",), others=others)
    header = {"run_id": "r", "pipeline": "people", "plan": "x", "epoch": 1, "batch_id": "b", "partition": 0, "slice": 0}
    batch = BatchTransformed.model_validate({"header": {**header, "position": 0, "tally": {}}, "records": []})
    sealed = sealed_result(result, batch, SEALER)
    assert "ada" not in repr(sealed)
    assert masked(sealed.records[0].steps[0].output) == {"note": "***", "n": 1}
    assert opened_amid(sealed.records[0], SEALER) == record
