"""Says what a trace tells of a model call, by OpenTelemetry's conventions for generative AI. Neither prompt nor answer
is told. Pure."""

from __future__ import annotations

from loom_ai.ports import Entry, ModelCall, Payer
from loom_common.ports.tracing import Attributes


def question(call: ModelCall, payer: Payer) -> Attributes:
    """Return what is known before the model answers."""
    known: dict[str, str | int | float | bool | tuple[str, ...]] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.served_by or call.provider,
        "gen_ai.request.model": call.model,
        "loom.purpose": call.purpose,
        "loom.run_id": payer.run_id,
        "loom.record_id": payer.record_id,
    }
    if call.max_tokens is not None:
        known["gen_ai.request.max_tokens"] = call.max_tokens
    if call.temperature is not None:
        known["gen_ai.request.temperature"] = call.temperature
    return known


def answer(entry: Entry) -> Attributes:
    """Return what the answer adds."""
    said = entry.answer
    return {
        "gen_ai.response.model": said.model,
        "gen_ai.response.finish_reasons": (said.finish_reason,),
        "gen_ai.usage.input_tokens": said.tokens_in,
        "gen_ai.usage.output_tokens": said.tokens_out,
        "loom.cost_usd": entry.cost,
    }
