"""Writes the requests of batches in the strongest form that their endpoint is known to take, and learns from refusals
which forms and parameters it does not take."""

from __future__ import annotations

import orjson

from loom_ai.ports import ModelCall
from loom_ai.providers.learned_limits import LearnedLimits
from loom_ai.wire.form import Form
from loom_ai.wire.wires import wire_of
from loom_common.errors import RecordError


class Forms:
    """Keeps what was learned in one process. What was lost with another is learned again, at no cost: a request that
    was refused is not charged."""

    def __init__(self) -> None:
        self._learned = LearnedLimits()

    def body(self, call: ModelCall) -> bytes:
        """Return the body of a call's request."""
        accepted = self._learned.accepted((call.base_url, call.model))
        return wire_of(call.provider).request_body(call, self._forms(call)[0], accepted)

    def learn(self, call: ModelCall, refused: RecordError) -> bool:
        """Learn from a refusal, and return whether the same request may be accepted in another form."""
        endpoint, wire = (call.base_url, call.model), wire_of(call.provider)
        if self._learned.leave_out_parameter(refused, call, endpoint, wire.limits(call.base_url)):
            return True
        return self._learned.leave_out_form(refused, _schema_key(call), self._forms(call))

    def answered(self, call: ModelCall) -> None:
        """Learn from an answer that its form is taken."""
        self._learned.remember_success(_schema_key(call), self._forms(call)[0])

    def _forms(self, call: ModelCall) -> tuple[Form, ...]:
        return self._learned.forms(_schema_key(call), wire_of(call.provider).forms(call))


def _schema_key(call: ModelCall) -> bytes:
    return orjson.dumps([call.base_url, call.model, call.schema, call.asking.reasoning_tokens], default=str)
