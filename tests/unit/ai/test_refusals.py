from __future__ import annotations

import orjson
import pytest

from loom_ai.http.http_errors import EndpointReference, refusal
from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    PermanentError,
    RateLimited,
    RecordError,
    UpstreamTroubled,
)

PLACE = EndpointReference("https://user:pass@models.example/v1", "gpt-4o-mini", "${MY_KEY}")


def _body(message: str, code: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "code": code}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, _body("no"), AccessRefused),
        (403, _body("no"), AccessRefused),
        (402, _body("pay first"), PermanentError),
        (404, _body("no such model"), PermanentError),
        (429, _body("slow down"), RateLimited),
        (429, _body("You exceeded your current quota", "insufficient_quota"), PermanentError),
        (408, b"", UpstreamTroubled),
        (500, b"oops", UpstreamTroubled),
        (503, b"", UpstreamTroubled),
        (529, b"", UpstreamTroubled),
        (400, _body("context length exceeded"), RecordError),
        (422, orjson.dumps({"detail": "unprocessable"}), RecordError),
        (413, b"", RecordError),
    ],
)
def test_the_kind_of_error_follows_from_the_status(status, body, kind):
    assert type(refusal(status, body, PLACE)) is kind


def test_an_error_names_model_and_endpoint_and_never_the_password():
    for status in (400, 401, 402, 404, 429, 500):
        words = str(refusal(status, b"", PLACE))
        assert "gpt-4o-mini at https://models.example/v1" in words
        assert "pass@" not in words


def test_refused_access_names_the_credential_and_does_not_repeat_the_endpoints_words():
    words = str(refusal(401, _body("Incorrect API key provided: sk-secret"), PLACE))
    assert "${MY_KEY}" in words
    assert "sk-secret" not in words


def test_the_records_error_carries_status_and_words():
    error = refusal(400, _body("context length exceeded"), PLACE)
    assert isinstance(error, RecordError)
    assert error.code == "model_refused"
    assert error.details == {"status": 400, "error": "context length exceeded"}


def test_slowing_down_carries_how_long():
    error = refusal(429, b"", PLACE, retry_after=3.0)
    assert isinstance(error, DependencyUnavailable)
    assert error.retry_after == 3.0


def test_long_pages_are_cut():
    assert len(str(refusal(500, b"x" * 100_000, PLACE))) < 500


def test_google_says_in_the_body_what_others_say_by_status_and_header():
    bad_key = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}
    assert isinstance(refusal(400, orjson.dumps(bad_key), PLACE), AccessRefused)
    slow = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "37s"}]}}
    error = refusal(429, orjson.dumps(slow, option=orjson.OPT_INDENT_2), PLACE)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 37.0
