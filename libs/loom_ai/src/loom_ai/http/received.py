"""Reads a response as an answer, an error, or something unusable. It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loom_ai.http.http_errors import EndpointReference, error_of_this_call, refusal, shown
from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import finish
from loom_ai.wire.answer import answer_from
from loom_ai.wire.document import NoAnswer
from loom_ai.wire.form import ResponseReader
from loom_ai.wire.parts import MessageText
from loom_ai.wire.usage import ReportedUsage
from loom_common.domain.values.per_record import per_record
from loom_common.domain.values.urls import redacted
from loom_common.http.bodies import Body

RAW_KEPT = 20_000
"""The most characters that are kept of an unusable response."""
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
"""Patterns of error names and messages, and the HTTP status that each stands for."""
_STATUS = tuple((status, re.compile(words, re.IGNORECASE)) for status, words in _WORDS)
_READ_AS_THEY_ARE = frozenset({400, 401, 402, 403, 404, 413, 422, 429, 503, 529})
"""Holds the statuses that an error inside a 200 response is treated as.

Any other one is a fault behind the endpoint, and makes the response unusable."""


@per_record
class Received:
    """Holds a response, and the call that it answers."""

    body: Body
    call: ModelCall
    endpoint: EndpointReference
    latency: float
    retry_after: float | None = None
    """The number of seconds to wait, as its headers say."""
    secrets: tuple[str, ...] = ()
    """Holds the key and other secrets of the request. Some endpoints repeat them in their responses."""

    answered_before: bool = False
    """Tells whether the endpoint has answered another call for this model."""

    @property
    def data(self) -> bytes:
        """Return the body with its secrets masked."""
        data = self.body.data
        for secret in self.secrets:
            data = data.replace(secret.encode(), b"***")
        return data


def answer_or_raise(wire: ResponseReader, status: int, headers: Mapping[str, str], received: Received) -> ModelAnswer:
    """Return the answer in a response. Raises the error that its status or its body states."""
    if 200 <= status < 300:
        return read_answer(wire, received)
    if 300 <= status < 400:
        target = redacted(shown(headers.get("location", "nowhere").encode(), 200))
        return unusable_answer(received, f"it is a redirection (HTTP {status}) to {target}")
    error = refusal(status, received.data, received.endpoint, received.retry_after)
    if received.answered_before:
        error = error_of_this_call(error, status, received.endpoint, received.data)
    raise error


def read_answer(wire: ResponseReader, received: Received) -> ModelAnswer:
    """Return the answer in a 2xx response, or one that is marked as unusable and holds the beginning of the body.

    An error inside the body is raised as if the response had its status."""
    document: Any = None
    body = received.body
    try:
        document = wire.parsed(body.data)
        if (inside := error_in(document)) is not None:
            status = status_of(inside)
            if status in _READ_AS_THEY_ARE:
                raise refusal(status, received.data, received.endpoint, received.retry_after, inside=True)
            raise NoAnswer("it is an error")
        if body.fault is not None:
            raise NoAnswer(body.fault)
        return wire.answer_of(document, received.call, received.latency)
    except NoAnswer as nothing:
        return unusable_answer(received, body.fault or str(nothing), wire.counted(document))


def unusable_answer(received: Received, fault: str, counted: ReportedUsage | None = None) -> ModelAnswer:
    """Return an answer that is marked as unusable.

    It counts as a call, with the tokens that the response reports, or an estimate: the provider may charge for it."""
    message = MessageText(shown(received.data, RAW_KEPT), noted=(fault,))
    return answer_from(received.call, message, finish.UNUSABLE, counted or ReportedUsage(), received.latency)


def error_in(document: Any) -> Any:
    """Return the error in a document, in any of the common shapes; None where there is none."""
    if isinstance(document, list) and document:  # Google sends a list where a stream was begun
        document = document[0]
    if not isinstance(document, Mapping):
        return None
    if error := document.get("error") or document.get("errors"):
        return error
    if document.get("type") == "error" or document.get("object") == "error":
        return document
    return None


def status_of(error: Any) -> int | None:
    """Return the HTTP status that an error stands for; None where it cannot be known."""
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
        # A message alone may make a call wait, but may not fail a run.
        said = said if said in (429, 503) else None
    return said


def _status_of_words(words: str) -> int | None:
    return next((status for status, pattern in _STATUS if pattern.search(words)), None)
