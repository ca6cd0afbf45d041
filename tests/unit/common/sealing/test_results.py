"""Tests what of a handler's result is sealed, and what is told in words."""

from __future__ import annotations

from loom_common.contracts.v1 import (
    BatchTransformed,
    EvaluatedRecord,
    Evaluation,
    ExtractSlice,
    Interaction,
    KeptRecord,
    TransformedRecord,
)
from loom_common.domain.run.piece import Piece
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.domain.sealing.tokens import is_sealed, masked
from loom_common.sealed_stages.results import sealed_result
from loom_common.sealing.keys import Key, Keys
from loom_common.sealing.sealer import Sealer
from loom_common.worker.slices import Slice, SlicedRecords
from loom_common.worker.stage_result import Evaluated

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
