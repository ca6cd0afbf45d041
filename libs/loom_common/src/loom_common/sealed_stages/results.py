"""Seals what a stage gives back: records that go on, records that are kept back, and what was said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from msgspec.structs import replace as changed

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import Evaluation, Interaction, KeptRecord, RecordOutput
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.quality.outcomes import QUALITY_CHECK
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan
from loom_common.domain.schema.contract import SCHEMA_CONTRACT
from loom_common.domain.sealing.fields import leaves
from loom_common.domain.sealing.redaction import Redactor
from loom_common.sealed_stages.amid_steps import sealed_amid
from loom_common.sealed_stages.batches import sealed_place, values_of_record
from loom_common.sealing.sealer import Sealer
from loom_common.worker.slices import CheckedSource, Slice, SlicedRecords
from loom_common.worker.stage_result import Evaluated, Extracted, HandedOn, Loaded, Transformed

R = TypeVar("R")
B = TypeVar("B", Transformed, Evaluated)

READ_WHOLE = frozenset(
    {
        QUALITY_CHECK,
        SCHEMA_CONTRACT,
        "duplicate_key",
        "incremental",
        "late",
        "missing_field",
        "missing_key",
        "missing_order_key",
        "unchecked_key",
    }
)
"""The codes of records that an extractor keeps back although it could read them whole. Of any other, it is not known
what stands in which field."""
_NAMES_OF_THINGS = frozenset(
    {"attempts", "check", "code", "column", "contract", "field", "finish_reason", "first", "item", "key", "kind",
     "left_out", "line", "mend", "misses", "model", "name", "path", "position", "reason", "row", "started", "status"}
)  # fmt: skip
"""The details of an error that hold no text of a record. They are shown, without what they quote."""


def judges_in(plan: Plan) -> frozenset[str]:
    """Return the names of the plan's evaluators whose explanations a model writes."""
    section = plan.pipeline.evaluate
    evaluators = () if section is None else section.evaluators
    return frozenset(each.name for each in evaluators if isinstance(each, ModelJudged))


def sealed_result(result: R, message: Message, sealer: Sealer, judges: frozenset[str] = frozenset()) -> R:
    """Return the result of a handler, sealed. What evaluators named in `judges` said is sealed whole. A result of
    another kind holds nothing of records."""
    sealing = _Sealing(sealer, message, judges)
    sealed: Any = result
    match result:
        case Slice():
            sealed = sealing.slice(result)
        case Extracted():
            records = tuple(replace(each, input=sealer.sealed(each.input)) for each in result.records)
            sealed = replace(result, records=records, kept=[sealing.kept(each, read=True) for each in result.kept])
        case Transformed():
            sealed = sealing.batch(result)
        case Evaluated():
            sealed = sealing.batch(result)
        case HandedOn():
            amid = tuple(sealed_amid(each, sealer) for each in result.records)
            sealed = replace(result, records=amid, others=sealing.batch(result.others))
        case Loaded():
            sealed = sealing.loaded(result)
        case CheckedSource(pieces=[*pieces]):
            sealed = replace(result, pieces=[sealing.piece(each) for each in pieces])
        case [Piece(), *_]:
            sealed = [sealing.piece(each) for each in result]
    return sealed  # type: ignore[no-any-return]  # each case makes one of its own kind


class _Sealing:
    """Seals the result of one message."""

    def __init__(self, sealer: Sealer, message: Message, judges: frozenset[str]) -> None:
        self._sealer = sealer
        self._judges = judges
        self._inputs = {each.id: each for each in getattr(message, "records", ())}
        self._redactors: dict[str, Redactor] = {}

    def slice(self, result: Slice) -> Slice:
        batches = tuple(
            SlicedRecords(
                tuple(changed(each, input=self._sealer.sealed(each.input)) for each in batch.records),
                tuple(self.kept(each, read=each.code in READ_WHOLE) for each in batch.kept),
            )
            for batch in result.batches
        )
        outputs = result.outputs
        if outputs is not None:
            outputs = {name: self._sealer.sealed(each) for name, each in outputs.items()}
        return replace(result, batches=batches, cursor=self._place(result.cursor), outputs=outputs)

    def piece(self, piece: Piece) -> Piece:
        return piece.model_copy(update={"start": self._place(piece.start), "until": self._place(piece.until)})

    def batch(self, result: B) -> B:
        """Seal records with their outputs, and what evaluators said of them. Records that a step made are no inputs."""
        for each in result.records:
            self._inputs.setdefault(each.id, each)
        records: tuple[Any, ...] = tuple(
            replace(each, input=self._sealer.sealed(each.input), output=self._output(each.id, each.output))
            for each in result.records
        )
        kept = [self.kept(each, read=True) for each in result.kept]
        if isinstance(result, Transformed):
            return replace(result, records=records, kept=kept)
        evaluations = [self._evaluation(each) for each in result.evaluations]
        return replace(result, records=records, kept=kept, evaluations=evaluations)

    def loaded(self, result: Loaded) -> Loaded:
        outputs = [
            RecordOutput(record_id=each.record_id, output=self._output(each.record_id, each.output))
            for each in result.outputs
        ]
        every = Redactor(
            [value for each in self._inputs.values() for value in values_of_record(each, self._sealer.fields)]
        )
        rows = [self._sealer.sealed(each, every) for each in result.rows]
        return replace(result, kept=[self.kept(each, read=True) for each in result.kept], rows=rows, outputs=outputs)

    def kept(self, record: KeptRecord, *, read: bool) -> KeptRecord:
        """Seal a record that is kept back. Of one that was not `read` whole, all values are sensitive."""
        fields = self._sealer.fields
        if read:
            values = [*fields.values(record.input), *fields.values(record.output or {})]
            redact = Redactor(values)
            sealed_input = self._sealer.sealed(record.input)
        else:
            redact = Redactor(list(leaves(record.input)))
            sealed_input = self._sealer.whole(record.input)
        return record.model_copy(
            update={
                "input": sealed_input,
                "output": None if record.output is None else self._sealer.sealed(record.output, redact),
                "reason": redact(record.reason),
                "details": self._details(record.details, redact),
            }
        )

    def _details(self, details: Mapping[str, Any], redact: Redactor) -> dict[str, Any]:
        """Seal the prompt, the raw answer and the like, and take values out of the rest."""
        return {
            name: _redacted(each, redact) if name in _NAMES_OF_THINGS else self._sealer.whole({name: each})[name]
            for name, each in details.items()
        }

    def _output(self, record_id: str, output: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if output is None else self._sealer.sealed(output, self._redactor(record_id))

    def _evaluation(self, evaluation: Evaluation) -> Evaluation:
        """Seal what a model said of a record; a rule's own words remain, without what they quote."""
        explanation = evaluation.explanation
        if explanation is not None:
            said_by_model = evaluation.name in self._judges
            redact = self._redactor(evaluation.record_id)
            explanation = self._sealer.value("explanation", explanation) if said_by_model else redact(explanation)
        interactions = tuple(self._interaction(each) for each in evaluation.interactions)
        return evaluation.model_copy(update={"explanation": explanation, "interactions": interactions})

    def _interaction(self, interaction: Interaction) -> Interaction:
        answer = interaction.answer
        return interaction.model_copy(
            update={
                "prompt": self._sealer.value("prompt", interaction.prompt),
                "answer": None if answer is None else self._sealer.whole({"answer": answer})["answer"],
            }
        )

    def _redactor(self, record_id: str) -> Redactor:
        """Return what takes the values of one record out of a text."""
        if (found := self._redactors.get(record_id)) is None:
            record = self._inputs.get(record_id)
            values = [] if record is None else list(values_of_record(record, self._sealer.fields))
            found = self._redactors[record_id] = Redactor(values)
        return found

    def _place(self, cursor: Any) -> Any:
        return sealed_place(cursor, self._sealer)


def _redacted(value: Any, redact: Redactor) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [_redacted(each, redact) for each in value]
    return value if not isinstance(value, Mapping) else {name: _redacted(each, redact) for name, each in value.items()}
