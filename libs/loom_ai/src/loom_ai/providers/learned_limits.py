"""Remembers which parameters and answer forms an endpoint refuses. It does no I/O.

Some models accept no temperature, some name the token limit differently, many support no JSON schema, and none says so
in advance. Only the text of a refusal shows what it is about. What was refused is remembered per endpoint and model, so
that later records are asked without it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cachetools import LRUCache

from loom_ai.ports import ModelCall
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form
from loom_common.errors import RecordError

_REMEMBERED = 1000
UNEXPLAINED_TRIES = 3
"""Unexplained refusals in a form, after which no further one is taken to be about the form."""
_TAKES_NOT = re.compile(
    r"(?:un|not |n't )support|only the default|deprecat|not (?:allowed|permitted|available|compatible)|unrecogni[sz]ed"
    r"|unknown|unexpected|extra (?:inputs|fields)|(?:can(?:not|'t)|must not) be|no longer|invalid parameter|use .?max_",
    re.IGNORECASE,
)
"""Matches messages that say a parameter is not supported, rather than that its value is wrong."""
_FORM = re.compile(
    r"response_?(?:format|schema|mime)|json[ _]?(?:schema|object|mode)|structured[ _-]?outputs?|tool_?choice|\btools?\b"
    r"|function[ _-]?call|guided|grammar",
    re.IGNORECASE,
)
EndpointModel = tuple[str, str]
"""The base URL and the model."""


@dataclass(slots=True)
class _Candidates:
    forms: tuple[Form, ...]
    unexplained: int = 0


class LearnedLimits:
    """Remembers the refusals that this process has seen."""

    def __init__(self) -> None:
        self._accepted: LRUCache[EndpointModel, AcceptedParameters] = LRUCache(_REMEMBERED)
        self._forms: LRUCache[bytes, _Candidates] = LRUCache(_REMEMBERED)

    def accepted(self, endpoint: EndpointModel) -> AcceptedParameters:
        """Return the parameters that the endpoint accepts, as far as is known."""
        return self._accepted.get(endpoint, ALL_ACCEPTED)

    def forms(self, schema_key: bytes, all_forms: tuple[Form, ...]) -> tuple[Form, ...]:
        """Return the forms that may still work, strictest first. A single one has worked before or is the last left."""
        known = self._forms.get(schema_key)
        return all_forms if known is None else known.forms

    def remember_success(self, schema_key: bytes, form: Form) -> None:
        """Remember that this form was answered, so that later refusals are not attributed to it."""
        known = self._forms.get(schema_key)
        if known is None or known.forms != (form,):
            self._forms[schema_key] = _Candidates((form,))

    def leave_out_parameter(
        self, error: RecordError, call: ModelCall, endpoint: EndpointModel, limits: tuple[str, ...]
    ) -> bool:
        """Say whether the refusal is about a parameter, and if so remember to call without it."""
        accepted = self.accepted(endpoint)
        changed = without_refused_parameter(error, call, accepted, limits)
        if changed == accepted:
            return False
        self._accepted[endpoint] = changed
        return True

    def leave_out_form(self, error: RecordError, schema_key: bytes, forms: tuple[Form, ...]) -> bool:
        """Say whether the refusal is about the strictest of `forms`, and if so remember to leave that form out."""
        if len(forms) < 2 or not is_about_form(error):
            return False
        self._forms[schema_key] = _Candidates(forms[1:])
        return True

    def may_be_about_form(self, schema_key: bytes, forms: tuple[Form, ...]) -> bool:
        """Say whether an unexplained refusal may be about the form. Each question is counted."""
        if len(forms) < 2:
            return False
        known = self._forms.get(schema_key)
        if known is None:
            known = _Candidates(forms)
            self._forms[schema_key] = known
        known.unexplained += 1
        return known.unexplained <= UNEXPLAINED_TRIES


def without_refused_parameter(
    error: RecordError, call: ModelCall, accepted: AcceptedParameters, limits: tuple[str, ...]
) -> AcceptedParameters:
    """Return the manner without the parameter that the refusal names; unchanged where it names none."""
    words = _words(error)
    if not _TAKES_NOT.search(words):
        return accepted
    named = str(error.details.get("param") or words)
    if call.temperature is not None and accepted.temperature and "temperature" in named:
        return replace(accepted, temperature=False)
    usual, *others = limits
    if call.max_tokens is not None and accepted.limit is None and others and re.search(rf"\b{usual}\b", named):
        return replace(accepted, limit=others[0])
    return accepted


def is_about_form(error: RecordError) -> bool:
    """Say whether the refusal is about the schema that the answer is held to."""
    return bool(_FORM.search(_words(error)))


def names_a_cause(error: RecordError) -> bool:
    """Say whether the refusal says what it is about."""
    return bool(error.details.get("param")) or bool(_ABOUT_THE_QUESTION.search(_words(error)))


_ABOUT_THE_QUESTION = re.compile(
    r"context[ _]length|too (?:long|large|many)|maximum|exceed|policy|moderation|safety|temperature|max_tokens"
    r"|max_completion_tokens|unsupported (?:parameter|value)|unknown (?:parameter|field)|messages?\b",
    re.IGNORECASE,
)


def _words(error: RecordError) -> str:
    return f"{error.details.get('param') or ''} {error.details.get('error') or ''}"
