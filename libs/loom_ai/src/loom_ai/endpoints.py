"""Which endpoint a pipeline means by its `model` and `base_url`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "${OPENAI_API_KEY}"
"""Sent where it is set and nothing else is named: local servers ask for no key."""
_PREFIX = "openai:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and where it is served."""

    provider: str
    model: str
    base_url: str


def endpoint_of(model: str, base_url: str | None = None, environ: Mapping[str, str] | None = None) -> Endpoint:
    """The endpoint: `base_url`, else `OPENAI_BASE_URL`, else OpenAI's own. `openai:` before the model is dropped."""
    environ = os.environ if environ is None else environ
    url = base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return Endpoint(provider="openai", model=model.removeprefix(_PREFIX), base_url=url.rstrip("/"))
