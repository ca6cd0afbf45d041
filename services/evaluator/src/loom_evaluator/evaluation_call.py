"""Asks the questions of one evaluator about one record, and records on whose account they are asked and what they
took."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import Reply, ask
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.usage import NOTHING
from loom_ai.ports import ModelCall, Payer
from loom_common.contracts.v1 import Interaction
from loom_common.text import storable, storable_value

_PROMPT_KEPT = 4_000
"""The number of characters of a question that are kept with its answer."""


class EvaluationCall:
    """Asks one evaluator's questions about one record."""

    def __init__(
        self,
        models: JournalledModels,
        payer: Payer,
        *,
        reuse: Reuse | None = None,
        patience: float | None = None,
        again: int = 0,
        sealed: bool = False,
    ) -> None:
        """`sealed` says whether the record holds sensitive values. Take `again`, which is how often this worker
        evaluated the record before: an answer that was unusable then is not used again. `patience` is how many seconds
        one answer may take, all attempts added up."""
        self._models = models
        self.payer = payer
        self._reuse = reuse
        self._patience = patience
        self._again = again
        self._sealed = sealed
        self.interactions: list[Interaction] = []

    async def noted(self, key: str, call: ModelCall) -> str | None:
        """Return a text that was kept beside the journal under a key of one's own."""
        found = await self._models.found(key, call, self.payer, Reuse())
        return None if found is None else found.answer.text

    async def note(self, key: str, call: ModelCall, text: str) -> None:
        """Keep a text for `noted`, in this run or another; `call` says for which model."""
        await self._models.note(key, self.payer, replace(call, sealed=self._sealed), text)

    async def ask(self, call: ModelCall, shape: Shape) -> Reply:
        """Ask for an answer of that shape, with what it newly took; a failure that is the record's own stands in the
        reply.

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
                prompt=storable(call.messages[-1].content[:_PROMPT_KEPT]),
                answer=storable_value(reply.output),
                calls=taken.calls_made,
                tokens_in=taken.tokens_in,
                tokens_out=taken.tokens_out,
                cost=taken.cost,
                seconds=round(perf_counter() - began, 6),
            )
        )
        return replace(reply, spent=taken)

    async def _asked(self, call: ModelCall, shape: Shape, again: int) -> Reply:
        return await ask(
            self._models,
            replace(call, again=again, sealed=self._sealed),
            self.payer,
            shape,
            self._reuse,
            self._patience,
        )
