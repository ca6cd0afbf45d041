"""Answers questions to models from recordings, from the project's journal, or from the models themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic

from loom_ai.budget.answer_sizes import longest
from loom_ai.budget.prices import Prices, Tokens
from loom_ai.http.http_errors import REFUSED
from loom_ai.keys import key_of
from loom_ai.pacing.token_bounds import most
from loom_ai.ports import NOTED, Journal, ModelAnswer, ModelCall, ModelClient, Waits
from loom_ai.recordings.cassette import Cassette, Recording, Redact, recorded, recording_key
from loom_ai.recordings.nearest import nearest
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.errors import LoomError, RecordError

NOT_RECORDED = "not_recorded"
"""The code of a record for which an answer was needed that is not recorded."""
BUDGET_SPENT = "test_budget"
"""The code of a record for which a call was needed that the budget of the tests does not cover."""


_NO_ANSWER = "is recorded for this question"
_NO_BUDGET = "for these tests does not cover a call"


def tells_of_no_answer(code: str | None, reason: str | None) -> bool:
    """Tell whether a record was kept back for want of an answer: an evaluator's question has the reason within its
    own."""
    return code in (NOT_RECORDED, BUDGET_SPENT) or any(words in (reason or "") for words in (_NO_ANSWER, _NO_BUDGET))


class Source(StrEnum):
    """Lists where answers come from."""

    RECORDED = "recorded"
    """Answers come from the recordings and the journal alone: no model is called."""
    MISSING = "missing"
    """A model is called for what is not there."""
    LIVE = "live"
    """A model is called for every question, whatever is recorded."""


@dataclass(slots=True)
class Counts:
    """Counts the answers by where they came from."""

    replayed: int = 0
    from_journal: int = 0
    calls: int = 0
    paid: float = 0.0
    """USD that the calls cost."""


class Recorder:
    """Gives answers. One cassette is in use at a time: `use` changes it."""

    def __init__(
        self,
        source: Source = Source.RECORDED,
        journal: Journal | None = None,
        redact: Redact | None = None,
        budget: float | None = None,
        *,
        records: bool = False,
    ) -> None:
        """`budget` is what all calls together may cost, in USD. With `records` the cassette is also written while
        answers come, so that those of a process that is killed need not be paid for again."""
        self._records = records
        self._saved_at = self._saving = 0.0
        self._source = source
        self._journal = journal
        self._redact_secrets = redact or (lambda text: text)
        self._redact = self._redact_secrets
        self._budget = budget
        self._reserved = 0.0
        self._settled = asyncio.Condition()
        self._prices = Prices()
        self._own: Mapping[str, ModelPrice] = {}
        self._round: dict[str, Recording] = {}
        self.cassette = Cassette(Path())
        self.counts = Counts()

    def use(
        self, cassette: Cassette, redact: Redact | None = None, prices: Mapping[str, ModelPrice] | None = None
    ) -> None:
        """Answer from this cassette now, and redact besides what `redact` removes. `prices` are the pipeline's own."""
        also = redact or (lambda text: text)
        self.cassette = cassette
        self._redact = lambda text: also(self._redact_secrets(text))
        self._own = prices or {}
        self.next_round()

    def next_round(self) -> None:
        """Ask again, where models are asked, what was asked in an earlier round."""
        self._round = {}

    async def answer(self, call: ModelCall, client: ModelClient, waits: Waits | None) -> ModelAnswer:
        """Return the answer. Raises `RecordError` (code `not_recorded`, `test_budget`, or that of a recorded refusal),
        and what `client` raises."""
        key = recording_key(call)
        if (asked := self._round.get(key)) is not None:
            return _given(asked)
        if self._source is not Source.LIVE and (found := await self._found(key, call)) is not None:
            return _given(found)
        if self._source is Source.RECORDED:
            raise self._missing(call)
        if call.sealed:
            raise RecordError(
                "The pipeline has `sensitive` fields, and recordings lie in clear beside the tests, so that its "
                "questions and answers are not recorded. Record with made-up records while `sensitive` is taken out of "
                "the pipeline, and put it back: the recordings then answer.",
                code=NOT_RECORDED,
            )
        recording = await self._asked(call, client, waits)
        self._round[key] = recording
        self.cassette.keep(recording)
        self._save_now_and_then()
        return _given(recording)

    def _save_now_and_then(self) -> None:
        """Write the cassette, where writing it took a tenth of the time since then at most."""
        began = monotonic()
        if self._records and began - self._saved_at >= 10 * self._saving:
            self.cassette.save(unused=True)
            self._saved_at = monotonic()
            self._saving = self._saved_at - began

    async def close(self) -> None:
        """Close the journal that answers are looked up in, where there is one."""
        if self._journal is not None:
            await self._journal.close()

    async def _found(self, key: str, call: ModelCall) -> Recording | None:
        recording = self.cassette.recordings.get(key)
        if recording is not None:
            self.cassette.used.add(key)
            self.counts.replayed += 1
            return recording
        if self._journal is None or call.sealed:
            return None
        own = key_of(call)
        try:
            entry = (await self._journal.get_many([own])).get(own)
        except LoomError:  # a journal that cannot be read, e.g. of an older Loom, has no answers
            return None
        if entry is None or entry.purpose == NOTED:
            return None
        self.counts.from_journal += 1
        recording = recorded(call, entry.answer, self._redact)
        self.cassette.keep(recording)
        return recording

    async def _asked(self, call: ModelCall, client: ModelClient, waits: Waits | None) -> Recording:
        worst = await self._reserve(call)
        cost = 0.0
        try:
            answer = await client.complete(call, waits)
            cost = self._prices.of(call, answer, self._own).usd
        except RecordError as refused:
            if refused.code != REFUSED:
                raise
            return recorded(call, refused, self._redact)
        finally:
            self.counts.calls += 1
            self.counts.paid += cost
            async with self._settled:
                self._reserved -= worst
                self._settled.notify_all()
        return recorded(call, answer, self._redact)

    async def _reserve(self, call: ModelCall) -> float:
        """Set the worst case of the call apart, in USD. Waits for calls in flight, which mostly cost less than that.
        Raises `RecordError`."""
        if self._budget is None:
            return 0.0
        tokens = Tokens(given=most(call), answered=longest(call))
        price = await asyncio.to_thread(self._prices.quote, call, tokens, self._own)
        if not price.known:
            raise RecordError(
                f"No price is known for model {call.model}, so that --budget cannot be kept. Say it in the pipeline or "
                f"in loom.yaml: `prices: {{{call.model}: {{input: 0.15, output: 0.60}}}}`, or take --budget away.",
                code=BUDGET_SPENT,
            )
        async with self._settled:
            while self.counts.paid + self._reserved + price.usd > self._budget:
                if self._reserved <= 0:
                    raise RecordError(
                        f"The budget of ${self._budget:g} {_NO_BUDGET} that may cost "
                        f"${price.usd:.6f}: ${self.counts.paid:.6f} of it is spent. Raise --budget, or choose fewer "
                        "tests with --filter or --sample.",
                        code=BUDGET_SPENT,
                    )
                await self._settled.wait()
            self._reserved += price.usd
        return price.usd

    def _missing(self, call: ModelCall) -> RecordError:
        question = self._redact(call.messages[-1].content)
        near = nearest(self.cassette, call.purpose, question)
        return RecordError(
            f"No answer of {call.model} {_NO_ANSWER} ({call.purpose}). Its prompt, model, parameters "
            "or output shape are new or have changed. Look at the change, then record the answer with "
            f"`loom test --update`, or ask without recording with `loom test --live`.{near}",
            code=NOT_RECORDED,
            details={"question": question},
        )


def _given(recording: Recording) -> ModelAnswer:
    if recording.refusal is not None:
        raise RecordError(
            recording.refusal["message"], code=recording.refusal["code"], details=dict(recording.refusal["details"])
        )
    assert recording.answer is not None
    return recording.answer


class RecordedClient:
    """Implements a `ModelClient` that answers through a recorder."""

    def __init__(self, recorder: Recorder, client: ModelClient) -> None:
        self._recorder = recorder
        self._client = client

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        return await self._recorder.answer(call, self._client, waits)

    async def close(self) -> None:
        await self._client.close()
