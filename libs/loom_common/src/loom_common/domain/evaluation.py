"""What a pipeline file says about evaluation: the evaluators, the judging model, the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.caching import CacheConfig
from loom_common.domain.evaluators import EvaluatorConfig, ModelJudged
from loom_common.domain.failing import ON_FAILURE, OnFailureHere, Recovery
from loom_common.domain.providers import ProviderConfig, split_model
from loom_common.domain.section import Location, SecretRef, Section


class GateConfig(Section):
    """A gate with settings."""

    type: str = Field(description="`all_pass`, `majority_pass`, `any_pass`, `weighted`, or a custom gate.")
    threshold: float | None = Field(None, ge=0, le=1, description="`weighted`: the mean to reach.")

    @model_validator(mode="after")
    def _threshold_with_weighted(self) -> Self:
        if self.type == "weighted" and self.threshold is None:
            raise PydanticCustomError("missing_for_type", "`threshold`, which a weighted gate needs")
        if self.type != "weighted" and self.threshold is not None:
            raise PydanticCustomError("strange_for_type", "no `threshold`, which belongs to the weighted gate alone")
        return self


class EvaluateConfig(Recovery):
    """How each output is scored, and which scores let it through."""

    model: str | None = Field(None, description="The model of evaluators that ask one and name none themselves.")
    base_url: Location | None = Field(
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
    quality_gate: GateConfig = Field(
        default_factory=lambda: GateConfig(type="all_pass"),
        description="`all_pass`, `majority_pass`, `any_pass`, `{type: weighted, threshold: 0.75}`, a registered "
        "name, or `module:Class`.",
    )
    batch_threshold: float | None = Field(
        None, ge=0, le=1, description="Share of judged records that must pass, over the whole run; else `partial`."
    )
    on_failure: OnFailureHere = Field("quarantine", description="For evaluator errors. " + ON_FAILURE)

    @field_validator("quality_gate", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_and_thresholds(self) -> Self:
        names = [evaluator.name for evaluator in self.evaluators]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise PydanticCustomError(
                "duplicate_names",
                "a different `name` for each evaluator ({names} stands twice)",
                {"names": ", ".join(twice)},
            )
        bare = [evaluator.name for evaluator in self.evaluators if evaluator.threshold is None]
        if self.quality_gate.type in ("all_pass", "majority_pass", "any_pass") and bare:
            raise PydanticCustomError(
                "missing_threshold",
                "a `threshold` for {names}: only a weighted gate does without",
                {"names": ", ".join(map(str, bare))},
            )
        return self

    @model_validator(mode="after")
    def _models_named(self) -> Self:
        bare = [each.name for each in self.evaluators if isinstance(each, ModelJudged) and each.model is None]
        if self.model is None and bare:
            raise PydanticCustomError(
                "missing_for_type", "`evaluate.model`, or a `model` for {names}", {"names": ", ".join(bare)}
            )
        return self

    def endpoint_settings(
        self, evaluator: ModelJudged, providers: Mapping[str, ProviderConfig] | None = None
    ) -> tuple[str, str | None, str | None]:
        """Model, endpoint and key of an evaluator: its own, else this section's. A model of another provider is not
        asked at this section's endpoint, and another endpoint is not sent this section's key."""
        configured = dict(providers or {})
        model = evaluator.model or self.model or ""
        alike = split_model(model, configured)[0] == split_model(self.model or "", configured)[0]
        base_url = evaluator.base_url or (self.base_url if alike else None)
        key = evaluator.api_key or (self.api_key if alike and evaluator.base_url is None else None)
        return model, base_url, key
