"""Defines the `cascade` of an evaluator: a cheap evaluator scores first, and the dear model judges only where that
score does not decide."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, WrapSerializer, WrapValidator

from loom_common.domain.definition.transforms.cascade import CALIBRATED_FILE
from loom_common.domain.plugin_section import dump_as_itself
from loom_common.domain.section import Mistake, Section, mistake, said


def _read_cheap(written: Any, _: Any) -> Any:
    """Read the cheap evaluator by the model of its type."""
    from loom_common.domain.definition.evaluator_kinds import read_evaluator  # which stands on this module

    return read_evaluator(written)


_OF_THE_DEAR = ("threshold", "weight", "calibration", "cascade")
"""The keys of an evaluator that its cheap tier does not have."""


class JudgeCascadeConfig(Section):
    """A cheap evaluator scores first. The evaluator's model judges only where that score does not decide."""

    cheap: Annotated[Any, WrapValidator(_read_cheap), WrapSerializer(dump_as_itself)] = Field(
        description="`gpt-4o-mini` or `{model: ...}` for the same question to a cheaper model; or another evaluator, "
        "e.g. `{type: embedding_similarity, reference_field: expected}`."
    )
    file: str | None = Field(None, min_length=1, description=CALIBRATED_FILE)
    pass_from: float | None = Field(
        None, ge=0, le=1, description="Instead, and without a promise: from this score up the record passes unasked."
    )
    fail_below: float | None = Field(
        None, ge=0, le=1, description="Likewise: with a lower score than this the record fails unasked."
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """There is one source of the thresholds, and the cheap tier has no verdict of its own."""
        for key in ("pass_from", "fail_below"):
            if said(written, "file") is not None and said(written, key) is not None:
                yield mistake((key,), "strange_for_type", f"no `{key}` beside `file`, which has it", said(written, key))
        high, low = (said(written, key) for key in ("pass_from", "fail_below"))
        if isinstance(high, int | float) and isinstance(low, int | float) and low > high:
            yield mistake(("fail_below",), "bounds", f"{high:g} or less, as `pass_from` says", low)
        cheap = said(written, "cheap")
        for key in _OF_THE_DEAR if isinstance(cheap, Mapping) else ():
            if said(cheap, key) is not None:
                expected = f"no `{key}` in the cheap tier: it belongs to the evaluator"
                yield mistake(("cheap", key), "strange_for_type", expected, said(cheap, key))


def with_cheap_judge(written: Any) -> Any:
    """Return an evaluator as written, whose cheap tier is written out: what it does not say itself, and no other type,
    is as in the evaluator."""
    cascade = said(written, "cascade")
    cheap = said(cascade, "cheap")
    if isinstance(cheap, str):
        cheap = {"model": cheap}
    if not isinstance(written, Mapping) or not isinstance(cascade, Mapping) or not isinstance(cheap, Mapping):
        return written
    if "type" not in cheap:
        shared = {key: value for key, value in written.items() if key not in (*_OF_THE_DEAR, "name", "model")}
        cheap = {**shared, **cheap}
    return {**written, "cascade": {**cascade, "cheap": cheap}}
