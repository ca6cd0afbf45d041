"""Defines `evaluate.quality_gate`, which decides from the scores of a record whether it passes."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, WrapSerializer, WrapValidator

from loom_common.domain.plugin_section import PluginSection, concrete, dump_as_itself, unusable
from loom_common.domain.section import Mistake, Section, mistake, refusal, said
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
