"""Defines the `cascade` of a transform: a cheap tier is asked first, and the dear model only where that one is
unsure."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.model_options.scorers import ClassifierOptions, classifier_fits
from loom_common.domain.schema.output import is_json_schema
from loom_common.domain.section import FunctionRef, Mistake, Section, mistake, said

CASCADE = "cascade"
"""The name under which the cascade of a transform is counted; that of an evaluator is counted under its name."""
CALIBRATED_FILE = "A file that `loom bench calibrate --cascade` wrote, whose thresholds hold a stated promise."


class CheapTier(ClassifierOptions):
    """Says what is asked before the model of the transform. The short form is a model."""

    model: str | None = Field(
        None, description="A cheaper model, `provider:model`. It is asked with the same prompt for the same output."
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="Of that model. Default: that of the transform; with `samples`, 1.0."
    )
    scorer: str | None = Field(
        None,
        description="Instead: `vader`, `module:name` of your own, or the path of an ONNX file. Its fields that "
        "`output` declares are kept.",
    )
    field: str | None = Field(None, description="The input field that the scorer looks at.")
    function: FunctionRef | None = Field(None, description="Instead: `module:name` of `def f(record: dict) -> dict`.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"model": written} if isinstance(written, str) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Exactly one kind of tier is required, and a scorer needs the field that it looks at."""
        named = [key for key in ("model", "scorer", "function") if said(written, key) is not None]
        if len(named) != 1:
            yield mistake((), "missing_for_type", "one of `model`, `scorer` and `function`", written)
        if "scorer" in named and said(written, "field") is None:
            yield mistake((), "missing_for_type", "`field`, which a scorer looks at", written)
        for key, belongs in (("field", "scorer"), ("temperature", "model")):
            if said(written, key) is not None and belongs not in named:
                yield mistake((key,), "strange_for_type", f"no `{key}` without `{belongs}`", said(written, key))
        yield from classifier_fits(written)

    @property
    def name(self) -> str:
        """Return what the tier is called."""
        return self.model or self.scorer or self.function or ""


class ConfidenceConfig(Section):
    """Says how it is known how sure the cheap tier is, from 0 to 1. The short form is a field of its output."""

    field: str | None = Field(None, description="A field of its output that holds it.")
    samples: int | None = Field(
        None,
        ge=2,
        le=20,
        description="Ask the cheap model so often: how sure it is is the share of its answers that agree.",
    )
    of: str | None = Field(
        None, description="With `samples`: the output field that has to agree. Default: the whole output."
    )
    function: FunctionRef | None = Field(
        None, description="`module:name` of `def f(output: dict, record: dict) -> float`: your scorer of the answer."
    )
    logprobs: Literal[True] | str | None = Field(
        None,
        description="`true`: how probable the cheap model's answer was, by the probabilities of its tokens; or the "
        "output field whose value counts.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"field": written} if isinstance(written, str) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Exactly one way to know it is required."""
        if sum(said(written, key) is not None for key in ("field", "samples", "function", "logprobs")) != 1:
            yield mistake((), "missing_for_type", "one of `field`, `samples`, `function` and `logprobs`", written)
        if said(written, "of") is not None and said(written, "samples") is None:
            yield mistake(("of",), "strange_for_type", "no `of` without `samples`", said(written, "of"))


class CascadeConfig(Section):
    """A cheap tier answers first. The transform's model is asked only about records of which that one is unsure."""

    cheap: CheapTier = Field(
        description="`gpt-4o-mini`, `{scorer: vader, field: review}` or `{function: module:name}`."
    )
    confidence: ConfidenceConfig = Field(
        default_factory=lambda: ConfidenceConfig(field="confidence"),
        description="How sure the cheap tier is: a field of its output, `{samples: 5}`, `{logprobs: true}` or "
        "`{function: module:name}`. Default: `confidence`.",
    )
    file: str | None = Field(None, min_length=1, description=CALIBRATED_FILE)
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Instead, and without a promise: the cheap answer is kept where it is at least so sure.",
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """There is one source of the threshold, and several samples need a model."""
        if said(written, "file") is not None and said(written, "threshold") is not None:
            expected = "no `threshold` beside `file`, which has it"
            yield mistake(("threshold",), "strange_for_type", expected, said(written, "threshold"))
        cheap = CheapTier.long_form(said(written, "cheap"))
        confidence = ConfidenceConfig.long_form(said(written, "confidence"))
        if said(confidence, "logprobs") is not None and cheap is not None and said(cheap, "model") is None:
            yield mistake(("confidence", "logprobs"), "strange_for_type", "no `logprobs` without a cheap model")
        if said(confidence, "samples") is not None:
            if cheap is not None and said(cheap, "model") is None:
                yield mistake(("confidence", "samples"), "strange_for_type", "no `samples` without a cheap model")
            if said(cheap, "temperature") == 0:
                expected = "more than 0: at 0 all samples would be the same"
                yield mistake(("cheap", "temperature"), "bounds", expected, 0)


def cascade_fits(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield what does not fit together in a transform that has a cascade."""
    cascade = said(written, "cascade")
    if cascade is None:
        return
    if said(written, "calibration") is not None:
        expected = "no `calibration` beside `cascade`: it would change the confidence of one tier by the other's"
        yield mistake(("calibration",), "strange_for_type", expected, said(written, "calibration"))
    output = said(written, "output")
    if not isinstance(output, Mapping):
        yield mistake((), "missing_for_type", "`output`, the fields that both tiers of `cascade` give", written)
        return
    cheap = CheapTier.long_form(said(cascade, "cheap"))
    confidence = ConfidenceConfig.long_form(said(cascade, "confidence")) or {"field": "confidence"}
    declared = output["properties"] if is_json_schema(output) and "properties" in output else output
    for key in ("field", "of", "logprobs"):
        name = said(confidence, key)
        if isinstance(name, str) and name not in declared and (key != "field" or said(cheap, "model") is not None):
            expected = f"a field that `output` declares ({', '.join(map(str, declared))})"
            yield mistake(("cascade", "confidence"), "missing_for_type", expected, name)
