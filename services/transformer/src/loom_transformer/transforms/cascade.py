"""Asks a cheap tier first, and the dear model only about records of which the cheap tier is unsure.

Both tiers are transforms of their own. What the cheap one is asked is journalled as everything else, so that a batch
that comes again finds the same confidences, decides the same, and pays for nothing twice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.transforms.cascade import CascadeConfig
from loom_common.domain.run.calls import CHEAP, DEAR, Tier
from loom_common.statistics.cascades import Band
from loom_common.user_code.poison_isolation import USER_CODE, Risk
from loom_common.worker.context import Context
from loom_transformer.outcome import Transform, TransformOutcome
from loom_transformer.scoring.answers import at_fault
from loom_transformer.scoring.bounds import Bounds

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape

AGREEMENT = "agreement of the cheap tier"
"""The field in which the samples of a cheap model say how many of them agree. It is no field of the output."""
PROBABILITY = "probability of the cheap answer"
"""The field that tells how probable a cheap model's answer was to it. It is no field of the output."""
Confidence = Callable[[dict[str, Any], dict[str, Any]], Any]
"""Says of an output and its record how sure the output is."""


@dataclass(frozen=True, slots=True)
class CheapAnswer:
    """Holds what the cheap tier said of a record."""

    outcome: TransformOutcome
    confidence: float | None
    """Says how sure it is, from 0 to 1; None where it gave no output, or said nothing of use about that."""


class Cheap:
    """Asks the cheap tier of a cascade, and finds out how sure it is."""

    def __init__(
        self,
        transform: Transform,
        config: CascadeConfig,
        shape: Shape,
        confidence: Confidence | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """Take the `shape` of the output, whose fields alone are kept of what a scorer or a function says, and the
        function that judges an answer, where the pipeline names one."""
        self._transform = transform
        self._config = config.confidence
        self._shape = None if config.cheap.model is not None else shape
        self._confidence = confidence
        self._bounds = bounds or Bounds()
        self.risk: Risk | None = USER_CODE if confidence is not None else transform.risk

    async def answers(self, run_id: str, records: Sequence[ExtractedRecord], context: Context) -> list[CheapAnswer]:
        """Return what the cheap tier says of each record, in order. Raises what `Transform.apply` raises."""
        outcomes = await self._transform.apply(run_id, records, context)
        if self._confidence is not None:
            return await self._judged(records, outcomes, self._confidence)
        return [self._stated(each) for each in outcomes]

    def _stated(self, outcome: TransformOutcome) -> CheapAnswer:
        if outcome.output is None:
            return CheapAnswer(outcome, None)
        own = AGREEMENT if self._config.logprobs is None else PROBABILITY
        stated = outcome.output.get(self._config.field or own)
        return CheapAnswer(self._declared(outcome), confidence_of(stated))

    def _declared(self, outcome: TransformOutcome) -> TransformOutcome:
        """Return the outcome of a scorer or a function with the declared fields alone; without an output where they do
        not fit, because no message may carry that."""
        if outcome.output is None:
            return outcome
        if self._shape is None:
            return replace(
                outcome,
                output={key: outcome.output[key] for key in outcome.output if key not in (AGREEMENT, PROBABILITY)},
            )
        declared = self._shape.schema.get("properties", {})
        output = {key: value for key, value in outcome.output.items() if key in declared}
        return replace(outcome, output=None if self._shape.misfit(output) is not None else self._shape.exact(output))

    async def _judged(
        self, records: Sequence[ExtractedRecord], outcomes: Sequence[TransformOutcome], judge: Confidence
    ) -> list[CheapAnswer]:
        """Ask the user's function about each output, in a thread, under the limit of a record."""

        def one(pair: tuple[ExtractedRecord, TransformOutcome]) -> CheapAnswer:
            record, outcome = pair
            if outcome.output is None:
                return CheapAnswer(outcome, None)
            try:
                said = judge(copy.deepcopy(outcome.output), copy.deepcopy(record.input))
            except BaseException as error:  # noqa: BLE001 - the function may raise anything: then nothing is known
                at_fault(error, "transform.cascade.confidence")
                return CheapAnswer(outcome, None)
            return CheapAnswer(self._declared(outcome), confidence_of(said))

        pairs = list(zip(records, outcomes, strict=True))
        return await self._bounds.threads.each(
            pairs, one, self._bounds.seconds, late=lambda pair: CheapAnswer(pair[1], None)
        )


class Cascade:
    """Keeps what the cheap tier says with enough confidence, and asks the dear model about the other records."""

    def __init__(self, cheap: Cheap, dear: Transform, names: Mapping[Tier, str], band: Band) -> None:
        """Take the `names` of the tiers, which are noted with the records that they answer."""
        self.cheap = cheap
        self._dear = dear
        self._names = names
        self._band = band
        risks = (dear.risk, cheap.risk)
        self.risk = USER_CODE if USER_CODE in risks else next((each for each in risks if each is not None), None)

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """The cheap tier is not asked anew for a record that is tried again: what failed is the dear model."""
        found = await self.cheap.answers(run_id, records, context)
        unsure = [place for place, each in enumerate(found) if self._asks(each)]
        outcomes = [replace(each.outcome, answered_by=self._names[CHEAP], tier=CHEAP) for each in found]
        if unsure:
            asked = await self._dear.apply(run_id, [records[place] for place in unsure], context, again)
            for place, outcome in zip(unsure, asked, strict=True):
                cheap = found[place].outcome
                outcomes[place] = replace(
                    outcome,
                    seconds=outcome.seconds + cheap.seconds,
                    spent=outcome.spent + cheap.spent,
                    answered_by=outcome.answered_by or self._names[DEAR],
                    tier=DEAR,
                )
        return outcomes

    def _asks(self, answer: CheapAnswer) -> bool:
        return answer.outcome.output is None or self._band.asks(answer.confidence)


def confidence_of(value: Any) -> float | None:
    """Return a stated confidence; None where it is no number from 0 to 1, because nothing is known then."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        return None
    return float(value)
