"""Defines the `evaluate` section of a pipeline file: the evaluators, their model, and the gate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, WrapSerializer, WrapValidator

from loom_common.domain.definition.caching import CacheConfig
from loom_common.domain.definition.evaluator_kinds import MODEL_JUDGED, EvaluatorConfig
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.failing import ON_FAILURE, OnFailureHere, Recovery
from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.model_options.providers import ProviderConfig, split_model
from loom_common.domain.plugin_section import PluginSection, concrete, dump_as_itself, unusable
from loom_common.domain.section import Mistake, SecretRef, Section, WebLocation, items, mistake, refusal, said
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find


class GateConfig(Section):
    """Names a gate with settings."""

    type: str = Field(description="`all_pass`, `majority_pass`, `any_pass`, `weighted`, or a custom gate.")
    threshold: float | None = Field(None, ge=0, le=1, description="`weighted`: the mean to reach.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"type": written} if isinstance(written, str) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A weighted gate needs a threshold, and no other gate takes one."""
        kind, threshold = said(written, "type"), said(written, "threshold")
        if kind == "weighted" and threshold is None:
            yield mistake((), "missing_for_type", "`threshold`, which a weighted gate needs", written)
        if isinstance(kind, str) and kind != "weighted" and threshold is not None:
            expected = "no `threshold`, which belongs to the weighted gate alone"
            yield mistake(("threshold",), "strange_for_type", expected, threshold)


THRESHOLD_GATES = ("all_pass", "majority_pass", "any_pass")
"""Holds the gates that look at whether each evaluator passed."""
GATES = (*THRESHOLD_GATES, "weighted")
"""Holds the gates that Loom brings."""


class PluginGate(PluginSection, GateConfig):
    """Serves as the base of gates with keys of their own that a plugin brings. A gate without keys is any class with
    `apply`."""

    @abstractmethod
    def build(self) -> object:
        """Build the gate, an object with a method `apply(scores)`. It is built once for each pipeline version in every
        evaluator process."""


def _gate(written: Any, handler: ValidatorFunctionWrapHandler) -> GateConfig:
    """A gate that is a plugin's own section is read by its model; every other one has the keys that all have. A
    `module:name` without further keys may be beside the pipeline file, and is looked for there first, by `gate_of`."""
    written = GateConfig.long_form(written)
    kind = written.get("type") if isinstance(written, Mapping) else None
    if isinstance(kind, str) and kind not in GATES and (":" not in kind or written.keys() - GateConfig.model_fields):
        try:
            found = find(Kind.GATE, kind)
            if isinstance(found, type) and issubclass(found, PluginGate):
                return concrete(Kind.GATE, kind, found).model_validate(written)
        except PluginUnusable as error:
            raise refusal("quality_gate", [unusable((), error, kind)]) from error
    made: GateConfig = handler(written)
    return made


AnyGate = Annotated[GateConfig, WrapValidator(_gate), WrapSerializer(dump_as_itself)]


class EvaluateConfig(Recovery, CallOptions):
    """Says how each output is scored, and which scores let it through."""

    model: str | None = Field(None, description="The model of evaluators that ask one and name none themselves.")
    base_url: WebLocation | None = Field(
        None, description="Its OpenAI-compatible endpoint. Default: `OPENAI_BASE_URL`, else OpenAI's."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: `${OPENAI_API_KEY}` where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Reuse of judgements between runs.")
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
