"""Makes several calls of the question about a record, where the pipeline says so: samples around refinement around one
call."""

from __future__ import annotations

from functools import partial

from loom_ai.answers.confidence import confidence_in
from loom_ai.answers.structured_output import Reply
from loom_ai.http.endpoints import judge_endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import Payer
from loom_ai.rounds.asking import Ask
from loom_ai.rounds.gleaning import Refining, refined
from loom_ai.rounds.judging import JudgeModel
from loom_ai.rounds.samples import Sampling, best_judged, first_valid, voted
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.several_calls import Judge, agreement_field
from loom_common.domain.run.plan import Plan


class SeveralCalls:
    """Puts the rounds that a transform's settings name around a function that asks once. Without any, it is that
    function."""

    def __init__(
        self, plan: Plan, config: AiTransformConfig, models: JournalledModels, reuse: Reuse, patience: float
    ) -> None:
        self._config = config
        self._sampling = Sampling(config.n, config.vote_by)
        self._agreement = agreement_field(config)
        self._logprobs = config.logprobs
        gleaning = config.gleaning

        def judge_of(judge: Judge, criteria: str | None) -> JudgeModel:
            endpoint = judge_endpoint(
                judge.model or config.model,
                judge.base_url,
                judge.api_key,
                (config.model, config.base_url, config.api_key),
                plan.pipeline.providers,
            )
            return JudgeModel(models, endpoint, criteria, reuse, patience, judge.temperature, judge.max_tokens)

        self._reviewer = None if gleaning is None else judge_of(gleaning.judge, gleaning.criteria)
        picking = config.judge or Judge()
        self._picker = judge_of(picking, picking.criteria) if config.n > 1 and config.pick == "judge" else None

    def asking(self, ask: Ask, payer: Payer) -> Ask:
        """Return what asks about one record, given what asks once. What the rounds take is the record's to pay."""
        gleaning, sampling = self._config.gleaning, self._sampling
        if gleaning is not None and self._reviewer is not None:
            refining = Refining(gleaning.max_rounds, gleaning.accept)
            ask = partial(refined, ask=ask, refining=refining, judge=self._reviewer.on_account_of(payer))
        if sampling.number == 1:
            return ask
        if self._config.pick == "first_valid":
            return partial(first_valid, ask=ask, number=sampling.number)
        if self._picker is not None:
            return partial(best_judged, ask=ask, sampling=sampling, judge=self._picker.on_account_of(payer))
        return partial(voted, ask=ask, sampling=sampling)

    def output_of(self, reply: Reply) -> dict[str, object] | None:
        """Return the output of a record: the answer, how many samples agree with it, and how probable it was."""
        output: dict[str, object] | None = reply.output
        if output is None:
            return None
        if self._agreement is not None and reply.agreement is not None:
            output = {**output, self._agreement: reply.agreement}
        if self._logprobs is not None:
            confidence = None if reply.answer is None else confidence_in(reply.answer, self._logprobs.of)
            output = {**output, self._logprobs.into: confidence}
        return output
