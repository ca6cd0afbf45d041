"""What an endpoint takes, learned from what it refuses: the form of an answer, the temperature, the limit's name.

Some models take no temperature, some know the longest answer by another name, many hold an answer to no JSON schema.
None of them says so before it is asked. What a refusal is about stands in its words alone: that is where it is read
from. What is learned is remembered for the endpoint and model, so that no later record meets the refusal. Pure."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TypeVar

from loom_ai.ports import ModelCall
from loom_ai.wire.form import Form, Manner
from loom_common.errors import RecordError

_REMEMBERED = 1000
UNEXPLAINED_TRIES = 3
"""Refusals that do not say what they are about, after which a form is no longer suspected of them."""
_TAKES_NOT = re.compile(
    r"(?:un|not |n't )support|only the default|deprecat|not (?:allowed|permitted|available|compatible)|unrecogni[sz]ed"
    r"|unknown|unexpected|extra (?:inputs|fields)|(?:can(?:not|'t)|must not) be|no longer|invalid parameter|use .?max_",
    re.IGNORECASE,
)
"""How endpoints say that they do not take something, rather than a value of it."""
_FORM = re.compile(
    r"response_?(?:format|schema|mime)|json[ _]?(?:schema|object|mode)|structured[ _-]?outputs?|tool_?choice|\btools?\b"
    r"|function[ _-]?call|guided|grammar",
    re.IGNORECASE,
)
Place = tuple[str, str]
"""Endpoint and model."""
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Candidates:
    forms: tuple[Form, ...]
    unexplained: int = 0


class Learned:
    """Of one process."""

    def __init__(self) -> None:
        self._manners: OrderedDict[Place, Manner] = OrderedDict()
        self._forms: OrderedDict[bytes, _Candidates] = OrderedDict()

    def manner(self, place: Place) -> Manner:
        """How the place is asked, as far as it is known."""
        return self._manners.get(place, Manner())

    def forms(self, schema_place: bytes, all_forms: tuple[Form, ...]) -> tuple[Form, ...]:
        """The forms that may work, strongest first; one alone has worked, or is the last one left."""
        known = self._forms.get(schema_place)
        return all_forms if known is None else known.forms

    def worked(self, schema_place: bytes, form: Form) -> None:
        """An answer came in this form: from now on a refusal is not the form's fault."""
        known = self._forms.get(schema_place)
        if known is None or known.forms != (form,):
            _keep(self._forms, schema_place, _Candidates((form,)))

    def otherwise(self, error: RecordError, call: ModelCall, place: Place, limits: tuple[str, ...]) -> bool:
        """Whether the refusal says that a parameter is not taken, and the place is asked without it from now on."""
        manner = self.manner(place)
        changed = without_what_is_refused(error, call, manner, limits)
        if changed == manner:
            return False
        _keep(self._manners, place, changed)
        return True

    def weaker(self, error: RecordError, schema_place: bytes, forms: tuple[Form, ...]) -> bool:
        """Whether the refusal is about the strongest of `forms`, which is left out from now on."""
        if len(forms) < 2 or not is_about_the_form(error):
            return False
        _keep(self._forms, schema_place, _Candidates(forms[1:]))
        return True

    def may_be_the_form(self, schema_place: bytes, forms: tuple[Form, ...]) -> bool:
        """Whether a refusal that does not say what it is about may be the form's fault. Counts those that were asked
        about."""
        if len(forms) < 2:
            return False
        known = self._forms.get(schema_place)
        if known is None:
            known = _Candidates(forms)
            _keep(self._forms, schema_place, known)
        known.unexplained += 1
        return known.unexplained <= UNEXPLAINED_TRIES


def without_what_is_refused(error: RecordError, call: ModelCall, manner: Manner, limits: tuple[str, ...]) -> Manner:
    """The manner of asking without the parameter that the refusal says is not taken; the same where it names none."""
    words = _words(error)
    if not _TAKES_NOT.search(words):
        return manner
    named = str(error.details.get("param") or words)
    if call.temperature is not None and manner.temperature and "temperature" in named:
        return replace(manner, temperature=False)
    usual, *others = limits
    if call.max_tokens is not None and manner.limit is None and others and re.search(rf"\b{usual}\b", named):
        return replace(manner, limit=others[0])
    return manner


def is_about_the_form(error: RecordError) -> bool:
    """Whether the refusal is about how the answer is held to a schema."""
    return bool(_FORM.search(_words(error)))


def explains_itself(error: RecordError) -> bool:
    """Whether the refusal says what it is about."""
    return bool(error.details.get("param")) or bool(_ABOUT_THE_QUESTION.search(_words(error)))


_ABOUT_THE_QUESTION = re.compile(
    r"context[ _]length|too (?:long|large|many)|maximum|exceed|policy|moderation|safety|temperature|max_tokens"
    r"|max_completion_tokens|unsupported (?:parameter|value)|unknown (?:parameter|field)|messages?\b",
    re.IGNORECASE,
)


def _words(error: RecordError) -> str:
    return f"{error.details.get('param') or ''} {error.details.get('error') or ''}"


def _keep(values: OrderedDict[K, V], key: K, value: V) -> None:
    values[key] = value
    values.move_to_end(key)
    if len(values) > _REMEMBERED:
        values.popitem(last=False)
