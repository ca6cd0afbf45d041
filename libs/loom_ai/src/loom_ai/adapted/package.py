"""Checks for and imports the adapter library (`pydantic-ai-slim`), which implements the protocols that Loom does not.

It takes seconds to import and brings the providers' own SDKs. It is therefore an optional extra, and is imported at the
first call to a model of such a provider (docs/adr/0009)."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from loom_common import extras
from loom_common.domain.model_options.providers import ADAPTED
from loom_common.errors import PermanentError

if TYPE_CHECKING:
    from loom_ai.adapted.models import AdaptedModels

_SDKS = {"bedrock": "boto3", "cohere": "cohere"}
"""Holds the SDK that the library needs for each provider."""


def missing(provider: str) -> str | None:
    """Return the package that a provider needs and that is not installed, else None. It imports nothing."""
    if provider not in ADAPTED:
        return None
    needed = ("pydantic_ai", _SDKS[provider])
    names = (name for name in needed if importlib.util.find_spec(name) is None)
    return next((name.replace("_", "-") for name in names), None)


def missing_package_message(provider: str) -> str:
    """Return a message that names the missing package and how to install it."""
    return (
        f"provider {provider} needs the package {missing(provider)}, which is not installed here. Install it where the "
        f"transformers and evaluators run: {extras.remedy('providers')}"
    )


def ensure(provider: str) -> None:
    """Check the packages that a provider needs. Raises `PermanentError` where one is missing."""
    if missing(provider) is not None:
        raise PermanentError(f"The {missing_package_message(provider)}.")


def adapted_models(provider: str) -> AdaptedModels:
    """Return the client for models of such a provider.

    The first call takes seconds, so call it in a thread. Raises as `ensure` does."""
    ensure(provider)
    from loom_ai.adapted.models import AdaptedModels

    return AdaptedModels()
