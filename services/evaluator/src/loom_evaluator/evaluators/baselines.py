"""Keeps what earlier runs made of a record, for `pairwise`:"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from loom_ai.ports import ModelCall
from loom_common.domain.definition.evaluators import PREVIOUS_RUN
from loom_common.errors import PermanentError
from loom_evaluator.evaluation_call import EvaluationCall


@dataclass(frozen=True, slots=True)
class _Runs:
    """Names the runs that had a record: the last one, and the one before that."""

    last: str
    before: str | None


class Baselines:
    """Keeps the baselines of one evaluator."""

    def __init__(self, name: str, baseline: str, pipeline: str, field: str | None) -> None:
        """Take the `baseline`, which is `previous_run` or a run's id, and the `field` of the output that is
        compared."""
        self._name = name
        self._baseline = baseline
        self._pipeline = pipeline
        self._field = field
        self._said: set[str] = set()
        """Runs that are known to keep their outputs."""

    async def of(self, evaluation_call: EvaluationCall, call: ModelCall, output: str) -> str | None:
        """Return what the record is compared with; None where the baseline's run did not have it. Keeps `output` for
        later runs. Seeing the same batch twice changes nothing.

        Raises `PermanentError` where the run that is named has kept nothing at all."""
        run = evaluation_call.payer.run_id
        if run not in self._said:
            await evaluation_call.note(self._any_of(run), call, run)
            self._said.add(run)
        await evaluation_call.note(self._output_of(run, evaluation_call), call, output)
        earlier = await self._run_before(evaluation_call, call) if self._baseline == PREVIOUS_RUN else self._baseline
        if earlier is None:
            return None
        found = await evaluation_call.noted(self._output_of(earlier, evaluation_call), call)
        if found is None and self._baseline != PREVIOUS_RUN:
            await self._must_have_kept(earlier, evaluation_call, call)
        return found

    async def _run_before(self, evaluation_call: EvaluationCall, call: ModelCall) -> str | None:
        """Return the pipeline's run before this one that had the record."""
        run = evaluation_call.payer.run_id
        key = _key("runs", self._pipeline, self._name, evaluation_call.payer.record_id)
        text = await evaluation_call.noted(key, call)
        known = _Runs(**orjson.loads(text)) if text else None
        if known is not None and known.last == run:
            return known.before
        before = None if known is None else known.last
        await evaluation_call.note(key, call, orjson.dumps(_Runs(run, before)).decode())
        return before

    async def _must_have_kept(self, run: str, evaluation_call: EvaluationCall, call: ModelCall) -> None:
        if run not in self._said:
            if await evaluation_call.noted(self._any_of(run), call) is None:
                raise PermanentError(
                    f"Evaluator {self._name}: {run} has kept no outputs to compare with. Runs keep them that have a "
                    "`pairwise` evaluator with a `baseline` and the same `field`, until `loom cache clear`. "
                    "`loom history` lists runs."
                )
            self._said.add(run)

    def _any_of(self, run: str) -> str:
        return _key("outputs of", run, self._field)

    def _output_of(self, run: str, evaluation_call: EvaluationCall) -> str:
        return _key("output of", run, self._field, evaluation_call.payer.record_id)


def _key(*parts: str | None) -> str:
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()
