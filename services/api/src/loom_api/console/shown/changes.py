"""Prepares what the form of a replay offers to change, and reads what was changed in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_api.console.shown.forms import Form, unified
from loom_api.console.shown.words import pretty
from loom_common.domain.run.replaying import GATE, Changes
from loom_common.errors import ConfigurationError

_LONGEST = 20_000
"""The most characters of a value that a form offers to edit."""
THRESHOLD = "threshold:"
EDIT = "edit:"


@dataclass(frozen=True, slots=True)
class Offer:
    """Holds what a form offers to change."""

    asks_a_model: bool
    """Tells whether there are a prompt and a model."""
    prompt: str | None
    """The template of the prompt; None where it is not known."""
    model: str | None
    thresholds: Mapping[str, float | None]
    """The thresholds by what they are of: an evaluator, or a weighted gate."""
    fields: Mapping[str, str]
    """The texts of the fields of the input, by their names."""


def offered(definition: Mapping[str, Any], prompt: str | None, record: Mapping[str, Any] | None = None) -> Offer:
    """Return what may be changed when records of a run are run again, of which `record` is one."""
    transform = definition.get("transform") or {}
    asks = transform.get("type") == "ai"
    texts = {name: unified(pretty(value)) for name, value in (record or {}).items()}
    return Offer(
        asks_a_model=asks,
        prompt=unified(prompt) if asks and prompt is not None else None,
        model=transform.get("model") if asks else None,
        thresholds=thresholds_in(definition.get("evaluate") or {}),
        fields={name: text for name, text in texts.items() if len(text) <= _LONGEST},
    )


def thresholds_in(section: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the thresholds that decide, by what they are of."""
    gate = section.get("quality_gate")
    if isinstance(gate, Mapping) and gate.get("type") == "weighted":
        return {GATE: gate.get("threshold")}
    evaluators: Sequence[Mapping[str, Any]] = section.get("evaluators") or ()
    return {str(each.get("name") or each["type"]): each.get("threshold") for each in evaluators}


def changes_in(form: Form, offer: Offer) -> Changes | None:
    """Return what was changed in the form of a replay; None where nothing was. Raises `ConfigurationError` for a
    threshold that is no number."""
    prompt, model = form.one("prompt"), form.one("model")
    edits = {name: text for name, text in form.below(EDIT).items() if text != offer.fields.get(name)}
    made = Changes(
        prompt=None if prompt == offer.prompt else prompt,
        model=None if model == offer.model else model,
        thresholds={
            name: number
            for name, text in form.below(THRESHOLD).items()
            if text.strip() and (number := number_in(name, text)) != offer.thresholds.get(name)
        },
        edits={name: text for name, text in edits.items() if name in offer.fields},
    )
    return None if made == Changes() else made


def number_in(name: str, text: str) -> float:
    """Return the number in a field of a form. Raises `ConfigurationError` where it is none."""
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"The threshold of {name} is no number: {text[:40]!r}.") from None
