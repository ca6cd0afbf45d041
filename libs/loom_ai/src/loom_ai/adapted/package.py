"""The adapter library (`pydantic-ai-slim`) that speaks the protocols Loom does not: there or not, and when imported.

It takes seconds to import and brings the providers' own SDKs, so it is an extra, and imported where a pipeline asks a
model of such a provider (docs/adr/0009)."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from loom_common.domain.model_options.providers import ADAPTED
from loom_common.errors import PermanentError

if TYPE_CHECKING:
    from loom_ai.adapted.models import AdaptedModels

_SDKS = {"bedrock": "boto3", "cohere": "cohere"}
"""What the library in its turn needs for each."""
REMEDY = (
    "Install it where the transformers and evaluators run: `make extras EXTRAS=providers` in the checkout; for the "
    "image, `docker build --build-arg AI_EXTRAS=providers .`"
)


def missing(provider: str) -> str | None:
    """The package that a provider needs and that is not here; None where none is. Imports nothing."""
    if provider not in ADAPTED:
        return None
    needed = ("pydantic_ai", _SDKS[provider])
    names = (name for name in needed if importlib.util.find_spec(name) is None)
    return next((name.replace("_", "-") for name in names), None)


def told(provider: str) -> str:
    """That what a provider needs is missing, and the remedy."""
    return f"provider {provider} needs the package {missing(provider)}, which is not installed here. {REMEDY}"


def ensure(provider: str) -> None:
    """Raises `PermanentError` where something that a provider needs is not here."""
    if missing(provider) is not None:
        raise PermanentError(f"The {told(provider)}.")


def adapted_models(provider: str) -> AdaptedModels:
    """What asks the models of such a provider. The first time takes seconds: call it from a thread. Raises as `ensure`
    does."""
    ensure(provider)
    from loom_ai.adapted.models import AdaptedModels

    return AdaptedModels()
