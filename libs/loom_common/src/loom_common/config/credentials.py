"""Credential references: `${NAME}` and `${provider:name}`, resolved in the worker that needs them.

The expanded text lives only in the connection it opens. It is never stored, logged or sent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from loom_common.errors import MissingCredential

_REFERENCE = re.compile(r"\$\{(?:(?P<provider>[a-z_]+):)?(?P<name>[^}]+)\}")


def references(text: str) -> list[str]:
    """Every reference in `text`, as it is written."""
    return [match[0] for match in _REFERENCE.finditer(text)]


class CredentialProvider(Protocol):
    """Somewhere secrets are kept."""

    def get(self, name: str) -> str | None:
        """The secret of that name; None where there is none."""
        ...

    remedy: str
    """What a person does to set one; `{name}` stands for its name."""


class EnvProvider:
    """Environment variables; with a prefix, `${KEY}` is `<PREFIX>KEY` first, then `KEY`."""

    remedy = "Set the environment variable {name} where the worker runs."

    def __init__(self, environ: Mapping[str, str] | None = None, prefix: str = "") -> None:
        self._environ = os.environ if environ is None else environ
        self._prefix = prefix

    def get(self, name: str) -> str | None:
        return self._environ.get(f"{self._prefix}{name}") or self._environ.get(name)


class FileProvider:
    """Files that hold one secret each, as Docker and Kubernetes mount them: `${file:/run/secrets/db}`."""

    remedy = "Put the secret into the file {name} where the worker runs."

    def get(self, name: str) -> str | None:
        path = Path(name)
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None


class Credentials:
    """Expands references in text."""

    def __init__(self, providers: Mapping[str, CredentialProvider] | None = None) -> None:
        self._providers: Mapping[str, CredentialProvider] = providers or {"env": EnvProvider(), "file": FileProvider()}

    def expand(self, text: str, *, in_url: bool = False) -> str:
        """`text` with every reference replaced; percent-encoded where it becomes part of a URL.

        Raises `MissingCredential`."""

        def value(match: re.Match[str]) -> str:
            secret = self._get(match)
            return quote(secret, safe="") if in_url and match.start() > 0 else secret

        return _REFERENCE.sub(value, text)

    def missing(self, text: str) -> list[MissingCredential]:
        """Every reference in `text` that resolves to nothing."""
        errors = []
        for match in _REFERENCE.finditer(text):
            try:
                self._get(match)
            except MissingCredential as error:
                errors.append(error)
        return errors

    def _get(self, match: re.Match[str]) -> str:
        name, provider_name = match["name"], match["provider"] or "env"
        provider = self._providers.get(provider_name)
        if provider is None:
            known = ", ".join(self._providers)
            raise MissingCredential(match[0], f"There is no credential provider '{provider_name}'; known: {known}.")
        secret = provider.get(name)
        if secret is None:
            raise MissingCredential(match[0], provider.remedy.format(name=name))
        return secret
