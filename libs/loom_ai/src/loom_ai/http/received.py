"""What a response with status 200 says: an answer, an error that stands inside it, or nothing of use. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loom_ai.http.bodies import Body
from loom_ai.http.http_errors import EndpointReference, for_this_record, refusal, shown
from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import finish
from loom_ai.wire.document import NoAnswer
from loom_ai.wire.form import Reading
from loom_ai.wire.usage import Counted, checked
from loom_common.domain.values.urls import redacted

RAW_KEPT = 20_000
"""Characters of a useless response that are kept."""
_WORDS: tuple[tuple[int, str], ...] = (
    (402, r"insufficient[_ ]quota|billing|payment[_ ]required|insufficient (?:credits|balance)"),
    (429, r"rate[_ -]?limit|too[_ ]many[_ ]requests|resource_exhausted|throttl"),
    (
        401,
        r"unauthori[sz]ed|unauthenticated|authentication[_ ]error|(?:invalid|incorrect)[_ ]api[_ ]key|api_key_invalid",
    ),
    (403, r"permission[_ ](?:denied|error)|forbidden|access[_ ]denied"),
    (503, r"overloaded|unavailable|[_ ]capacity"),
    (404, r"model[_ ]not[_ ]found|not_found_error"),
    (400, r"invalid[_ ]request|invalid_argument|context[_ ]length|bad[_ ]request|validation"),
)
"""What errors are called that have no status, by the status they stand for."""
_STATUS = tuple((status, re.compile(words, re.IGNORECASE)) for status, words in _WORDS)
_READ_AS_THEY_ARE = frozenset({400, 401, 402, 403, 404, 413, 422, 429, 503, 529})
"""Other statuses inside a 200 are trouble behind an endpoint that is there: what came is of no use."""


@dataclass(frozen=True, slots=True)
class Received:
    """A response, and what it is about."""

    body: Body
    call: ModelCall
    place: EndpointReference
    latency: float
    retry_after: float | None = None
    """Seconds that its headers ask to wait."""
    secrets: tuple[str, ...] = ()
    """What it was asked with and no one may read, such as the key: some endpoints repeat it."""

    answered_before: bool = False
    """Whether the endpoint has answered another question for this model."""

    @property
    def data(self) -> bytes:
        """The body as it may be kept."""
        data = self.body.data
        for secret in self.secrets:
            data = data.replace(secret.encode(), b"***")
        return data


def meant(wire: Reading, status: int, headers: Mapping[str, str], received: Received) -> ModelAnswer:
    """What a response says. Raises what it says where that is an error."""
    if 200 <= status < 300:
        return answer_in(wire, received)
    if 300 <= status < 400:
        target = redacted(shown(headers.get("location", "nowhere").encode(), 200))
        return unusable(received, f"it is a redirection (HTTP {status}) to {target}")
    error = refusal(status, received.data, received.place, received.retry_after)
    if received.answered_before:
        error = for_this_record(error, status, received.place, received.data)
    raise error


def answer_in(wire: Reading, received: Received) -> ModelAnswer:
    """The answer; where there is none, one that is marked as unusable and carries what came instead.

    Raises the errors that stand inside a response, as if they had come with their status."""
    document: Any = None
    body = received.body
    try:
        document = wire.parsed(body.data)
        if (inside := error_in(document)) is not None:
            status = status_of(inside)
            if status in _READ_AS_THEY_ARE:
                raise refusal(status, received.data, received.place, received.retry_after, inside=True)
            raise NoAnswer("it is an error")
        if body.fault is not None:
            raise NoAnswer(body.fault)
        return wire.answer_of(document, received.call, received.latency)
    except NoAnswer as nothing:
        return unusable(received, body.fault or str(nothing), wire.counted(document))


def unusable(received: Received, fault: str, counted: Counted | None = None) -> ModelAnswer:
    """What is kept of a response that holds no answer. It counts as a call, with the tokens that it states, else with
    an estimate: the provider may charge it."""
    text = shown(received.data, RAW_KEPT)
    usage = checked(received.call, text, counted or Counted())
    return ModelAnswer(
        text=text,
        finish_reason=finish.UNUSABLE,
        model=received.call.model,
        tokens_in=usage.given,
        tokens_cached=usage.cached,
        tokens_out=usage.answered,
        latency=received.latency,
        estimated=usage.estimated,
        noted=(fault,),
    )


def error_in(document: Any) -> Any:
    """The error that a document is, whichever of the common ways it is said; None where it is none."""
    if isinstance(document, list) and document:  # Google's, where a stream was begun
        document = document[0]
    if not isinstance(document, Mapping):
        return None
    if error := document.get("error") or document.get("errors"):
        return error
    if document.get("type") == "error" or document.get("object") == "error":
        return document
    return None


def status_of(error: Any) -> int | None:
    """The status that an error would have come with; None where nobody can tell."""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, str):
        return _status_of_words(error)
    if not isinstance(error, Mapping):
        return None
    names = [error.get(name) for name in ("code", "status", "status_code", "http_code", "type", "error_type")]
    numbers = (
        int(str(each)) for each in names if isinstance(each, int | str) and re.fullmatch("[45][0-9]{2}", str(each))
    )
    if (number := next(numbers, None)) is not None:
        return number
    said = next((status for each in names if isinstance(each, str) and (status := _status_of_words(each))), None)
    if said is None and isinstance(message := error.get("message"), str):
        said = _status_of_words(message)
        # Words alone may make a call wait; they may not end a run.
        said = said if said in (429, 503) else None
    return said


def _status_of_words(words: str) -> int | None:
    return next((status for status, pattern in _STATUS if pattern.search(words)), None)
