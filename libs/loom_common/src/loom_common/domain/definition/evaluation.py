"""Defines the `evaluate` section of a pipeline file: the evaluators, their model, and the gate."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from loom_common.domain.definition.evaluator_kinds import MODEL_JUDGED, EvaluatorConfig
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.failures.recovery import ON_FAILURE, OnFailureHere, Recovery
from loom_common.domain.definition.quality_gate import THRESHOLD_GATES, AnyGate, GateConfig
from loom_common.domain.model_options.asking import AskingOptions
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.model_options.execution import ExecutionConfig
from loom_common.domain.model_options.providers import ProviderConfig, split_model
from loom_common.domain.section import Mistake, SecretRef, Section, WebLocation, items, mistake, said


def _cascade_fits(evaluator: Any, position: int, name: str, model: Any) -> Iterable[Mistake]:
    """Check that a cascade decides about a verdict, by a cheap tier of its own."""
    cascade = said(evaluator, "cascade")
    if cascade is None:
        return
    at = ("evaluators", position)
    if said(evaluator, "threshold") is None:
        expected = f"a `threshold` for {name}: its `cascade` decides who passes"
        yield mistake(at, "missing_threshold", expected, evaluator)
    if said(evaluator, "calibration") is not None:
        expected = "no `calibration` beside `cascade`: it is of the scores of one tier"
        yield mistake((*at, "calibration"), "strange_for_type", expected, said(evaluator, "calibration"))
    if said(evaluator, "baseline") is not None:
        expected = "no `cascade` beside `baseline`: every output is kept for later runs"
        yield mistake((*at, "cascade"), "strange_for_type", expected, cascade)
    cheap = said(cascade, "cheap")
    named = cheap if isinstance(cheap, str) else said(cheap, "model")
    if (isinstance(cheap, str) or said(cheap, "type") in (None, *MODEL_JUDGED)) and named in (
        None,
        said(evaluator, "model") or model,
    ):
        expected = "a cheap tier with another `model`, or of another `type`"
        yield mistake((*at, "cascade", "cheap"), "missing_model", expected, cheap)


class EvaluateConfig(Recovery, CallOptions, AskingOptions):
    """Says how each output is scored, and which scores let it through."""

    model: str | None = Field(None, description="The model of evaluators that ask one and name none themselves.")
    base_url: WebLocation | None = Field(
        None, description="Its OpenAI-compatible endpoint. Default: `OPENAI_BASE_URL`, else OpenAI's."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: `${OPENAI_API_KEY}` where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Reuse of judgements between runs.")
    execution: ExecutionConfig = Field(
        default_factory=ExecutionConfig,
        description="The same for the evaluators that ask a model: `batch`, or `{type: batch, deadline: 6h}`.",
    )
    sample: float = Field(
        1.0, gt=0, le=1, description="Share of records to evaluate, always the same ones. The others pass unscored."
    )
    keep_interactions: bool = Field(
        True, description="Whether each question to a judging model and its answer is kept beside the score."
    )
    evaluators: list[EvaluatorConfig] = Field(min_length=1, description="Each gives one score in [0, 1] per record.")
    quality_gate: AnyGate = Field(
        default_factory=lambda: GateConfig(type="all_pass"),
        description="`all_pass`, `majority_pass`, `any_pass`, `{type: weighted, threshold: 0.75}`, a registered "
        "name, or `module:Class`.",
    )
    batch_threshold: float | None = Field(
        None, ge=0, le=1, description="Share of judged records that must pass, over the whole run; else `partial`."
    )
    on_failure: OnFailureHere = Field("quarantine", description="For evaluator errors. " + ON_FAILURE)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Check that evaluators have distinct names, a threshold unless the gate does without, and a model if they call
        one."""
        gate = said(GateConfig.long_form(said(written, "quality_gate")), "type") or "all_pass"
        names: list[str] = []
        for position, evaluator in enumerate(items(written, "evaluators")):
            if not isinstance(evaluator, Mapping | Section):
                continue
            kind = said(evaluator, "type")
            name = str(said(evaluator, "name") or kind or "")
            if name in names:
                key = ("name",) if said(evaluator, "name") else ()
                expected = f"a different `name` for each evaluator ({name} stands twice)"
                yield mistake(("evaluators", position, *key), "duplicate_names", expected, name)
            names.append(name)
            if gate in THRESHOLD_GATES and said(evaluator, "threshold") is None:
                expected = f"a `threshold` for {name or 'it'}: only a weighted gate does without"
                yield mistake(("evaluators", position), "missing_threshold", expected, evaluator)
            yield from _cascade_fits(evaluator, position, name, said(written, "model"))
            if kind in MODEL_JUDGED and said(evaluator, "model") is None and said(written, "model") is None:
                expected = f"`evaluate.model`, or a `model` for {name}"
                yield mistake(("evaluators", position), "missing_model", expected, evaluator)

    def endpoint_settings(
        self, evaluator: ModelJudged, providers: Mapping[str, ProviderConfig] | None = None
    ) -> tuple[str, str | None, str | None]:
        """Return the model, base URL and key of an evaluator: its own, else this section's.

        This section's base URL is not used for a model of another provider, and its key is not sent to another base
        URL."""
        model = evaluator.model or self.model or ""
        alike = self.speaks_to(evaluator, providers)
        base_url = evaluator.base_url or (self.base_url if alike else None)
        key = evaluator.api_key or (self.api_key if alike and evaluator.base_url is None else None)
        return model, base_url, key

    def speaks_to(self, evaluator: ModelJudged, providers: Mapping[str, ProviderConfig] | None = None) -> bool:
        """Say whether an evaluator's model is of the provider that this section's model is of."""
        configured = dict(providers or {})
        model = evaluator.model or self.model or ""
        return split_model(model, configured)[0] == split_model(self.model or "", configured)[0]
