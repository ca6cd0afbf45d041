"""Resolves the credential references of a model call. Secrets of model calls are read nowhere else."""

from __future__ import annotations

from typing import NamedTuple

from loom_ai.ports import ModelCall
from loom_common.config.credentials import Credentials
from loom_common.domain.model_options.providers import provider_named
from loom_common.errors import AccessRefused, MissingCredential


class Access(NamedTuple):
    """Holds the address, key and headers of a call, with the secrets in them."""

    base_url: str
    key: str | None
    headers: dict[str, str]
    secrets: tuple[str, ...]
    """Holds the key, and the values of the headers that are made of credential references."""


def key_reference(call: ModelCall) -> str:
    """Return the credential reference that a call goes with; empty for none."""
    return call.api_key if call.api_key is not None else provider_named(call.provider).key or ""


def references_of(call: ModelCall) -> tuple[str, ...]:
    """Return the texts of a call that may refer to credentials."""
    return (call.base_url, key_reference(call), *call.extras.headers.values())


def resolve(call: ModelCall, credentials: Credentials) -> Access:
    """Return what the call is sent with. Raises `AccessRefused` where a credential is missing or cannot be sent."""
    try:
        base_url = credentials.expand(call.base_url, in_url=True).rstrip("/")
        headers = {name: _header(name, text, credentials) for name, text in call.extras.headers.items()}
        key = _key(call, credentials)
    except MissingCredential as error:
        raise AccessRefused(f"model {call.model}: {error}") from error
    referring = (headers[name] for name, text in call.extras.headers.items() if headers[name] != text)
    return Access(base_url, key, headers, tuple(each for each in (key, *referring) if each))


def _header(name: str, text: str, credentials: Credentials) -> str:
    return _sent_in(f"The header {name}", text, credentials.expand(text))


def _key(call: ModelCall, credentials: Credentials) -> str | None:
    reference = key_reference(call)
    if not reference:
        return None
    # The provider's usual key need not be set.
    key = credentials.expand_if_set(reference) if call.api_key is None else credentials.expand(reference)
    return key and _sent_in("The key", reference, key)


def _sent_in(what: str, text: str, value: str) -> str:
    """Return a value as a header may hold it."""
    value = value.strip()
    if not value.isascii() or not value.isprintable():
        raise AccessRefused(f"{what} cannot be sent: what {text} resolves to holds characters that no header may have.")
    return value
