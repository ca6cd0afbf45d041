"""Defines the keys of operators that may ask a model, and writes their question as that of a transform of type `ai`:
all that looks at models, prices, keys and prompts looks at this form. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.section import SecretRef, WebLocation, said
from loom_common.domain.steps.keys import StepKeys
from loom_common.domain.values.durations import Limit

MATCH = "matching_candidate"
"""The field of an answer that holds the number of the candidate that matches, or 0."""
CANDIDATES = "candidates"
OTHER = "other"
SAME, SURE = "same", "confidence"
"""The fields of an answer that tell whether two records are the same, and how sure the model is."""
JOIN, RESOLVE = "join", "resolve"
BESIDE = {JOIN: (CANDIDATES,), RESOLVE: (OTHER,)}
"""Holds the names that the templates of a step see beside `input`, by its type."""
_PROMPT = """\
Which of the candidates is the same as the record? Answer with its number, or with 0 where none of them is.

Record: {{ input }}
Candidates:
{% for number, row in candidates.items() %}
{{ number }}: {{ row }}
{% endfor %}"""
_PAIR = """\
Are these two records about the same thing? Say how sure you are, from 0 to 1.

One: {{ input }}
The other: {{ other }}"""
_OF_A_PAIR: dict[str, dict[str, Any]] = {
    SAME: {"type": "boolean"},
    SURE: {"type": "number", "minimum": 0, "maximum": 1},
}
_ASKED = (
    "name",
    "model",
    "system",
    "temperature",
    "max_tokens",
    "base_url",
    "api_key",
    "timeout",
    "params",
    "cache",
    "on_failure",
    "max_attempts",
)
"""Names the keys of an operator that say how its model is asked."""
ONLY_WITH_A_MODEL = ("prompt", "system", "max_tokens", "base_url", "api_key", "timeout", "params")


class Asked(dict[str, Any]):
    """Holds the question of an operator, as written, with the names that its templates see beside `input`."""

    def __init__(self, values: Mapping[str, Any], beside: tuple[str, ...]) -> None:
        super().__init__(values)
        self.beside = beside


class AskingKeys(StepKeys):
    """Holds the keys of operators that may ask a model."""

    model: str | None = Field(
        None, description="`provider:model`, which is asked; see `type: ai`. Default: no model is asked."
    )
    prompt: str | None = Field(
        None, description="A Jinja2 template, as a path or inline. Default: one that shows all fields."
    )
    system: str | None = Field(
        None, min_length=1, description="The system prompt: a template like the prompt, as a path or inline."
    )
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="Sampling temperature; null leaves it to the model, as some demand."
    )
    max_tokens: int | None = Field(None, ge=1, description="The longest answer, in tokens.")
    base_url: WebLocation | None = Field(
        None, description="Where the model's provider is. Default: `providers`, else its usual address."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: `providers`, else its usual one where that is set."
    )
    timeout: Limit | None = Field(None, description="What one question may take. Default: 35 s.")
    params: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the model, by the provider's names; see `type: ai`."
    )
    cache: dict[str, Any] = Field(default_factory=dict, description="Reuse of results between runs; see `type: ai`.")
    on_failure: Literal["quarantine", "skip", "retry", "abort"] = Field(
        "quarantine", description="What becomes of a record that the step fails on; see `type: ai`."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="`retry`: tries of a record in all.")


def asks(step: Any) -> bool:
    """Tell whether a step, as written or as a model, is an operator that asks a model."""
    return said(step, "type") in BESIDE and isinstance(said(step, "model"), str)


def asked_of(step: Any, most: int | None = None) -> Asked | None:
    """Return the question of an operator, as written or as a model, as that of a transform of type `ai`; None of a step
    that is none, or asks no model. `most` is how many candidates it is about; None for the most that there may be."""
    if not asks(step):
        return None
    written = {key: value for key in _ASKED if (value := said(step, key)) is not None}
    if not isinstance(step, Mapping) or "temperature" in step:
        written["temperature"] = said(step, "temperature")
    properties, usual = _OF_A_PAIR, _PAIR
    if said(step, "type") == JOIN:
        candidates = said(step, "candidates")
        number = {
            "type": "integer",
            "minimum": 0,
            "maximum": most or (candidates if isinstance(candidates, int) else 5),
        }
        properties, usual = {MATCH: number}, _PROMPT
    output = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    prompt = said(step, "prompt")
    asked = {**written, "type": "ai", "prompt": usual if prompt is None else prompt, "output": output}
    return Asked(asked, BESIDE[said(step, "type")])
