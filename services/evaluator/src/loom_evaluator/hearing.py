"""One evaluator's questions about one record: on whose account they are asked, and what they took."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from time import perf_counter

import orjson

from loom_ai.journal import JournalledModels, Reuse
from loom_ai.ports import ModelCall, Payer
from loom_ai.shape import Shape
from loom_ai.spending import NOTHING
from loom_ai.structured import Reply, ask
from loom_common.contracts.v1 import Interaction

_PROMPT_KEPT = 4_000
"""Characters of a question that are kept with its answer."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An output as it is kept for the next run."""

    run: str
    output: str
    before: str | None
    """What the run before that one had."""


class Hearing:
    """One evaluator's questions about one record."""

    def __init__(
        self,
        models: JournalledModels,
        payer: Payer,
        *,
        reuse: Reuse | None = None,
        patience: float | None = None,
        again: int = 0,
    ) -> None:
        """`again` is how often this record was judged before in this worker's hands: an answer that was of no use
        then is not taken for one. `patience` is how many seconds one answer may take, all attempts added up."""
        self._models = models
        self._payer = payer
        self._reuse = reuse
        self._patience = patience
        self._again = again
        self.interactions: list[Interaction] = []

    async def before(self, call: ModelCall, pipeline: str, evaluator: str, output: str) -> str | None:
        """What the pipeline's run before this one made of the record, as this evaluator saw it; None where there was
        none. Keeps `output` for the run after this one. Seeing the same batch twice changes nothing."""
        key = hashlib.sha256(orjson.dumps(["output", pipeline, evaluator, self._payer.record_id])).hexdigest()
        found = await self._models.found(key, call, self._payer, Reuse())
        last = Kept(**orjson.loads(found.answer.text)) if found else Kept("", "", None)
        earlier = last.before if last.run == self._payer.run_id else last.output if last.run else None
        kept = Kept(self._payer.run_id, output, earlier)
        if kept != last:
            await self._models.note(key, self._payer, call, orjson.dumps(kept).decode())
        return earlier

    async def ask(self, call: ModelCall, shape: Shape) -> Reply:
        """An answer of that shape, with what it newly took; a failure that is the record's own stands in the reply.

        Raises what `JournalledModels.complete` raises."""
        began = perf_counter()
        taken = NOTHING
        for again in range(self._again + 1):
            reply = await self._asked(call, shape, again)
            taken += reply.spent
            if reply.error is None:
                break
        self.interactions.append(
            Interaction(
                model=call.model,
                prompt=call.messages[-1].content[:_PROMPT_KEPT],
                answer=reply.output,
                calls=taken.calls_made,
                tokens_in=taken.tokens_in,
                tokens_out=taken.tokens_out,
                cost=taken.cost,
                seconds=round(perf_counter() - began, 6),
            )
        )
        return replace(reply, spent=taken)

    async def _asked(self, call: ModelCall, shape: Shape, again: int) -> Reply:
        return await ask(self._models, replace(call, again=again), self._payer, shape, self._reuse, self._patience)
