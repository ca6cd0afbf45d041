"""Resolves credential references, `${NAME}` and `${provider:name}`, in the worker that needs them.

A resolved secret exists only in the connection that it opens. It is never stored, logged or sent."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote

from loom_common.errors import MissingCredential, PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, is_reference, names
from loom_common.text import named

_REFERENCE = re.compile(r"\$\{(?P<asked>[^}]+)\}")
_NAME = re.compile(r"[a-z_]+")


def references(text: str) -> list[str]:
    """Return every reference in `text`, as it is written."""
    return [match[0] for match in _REFERENCE.finditer(text)]


def provider_names_in(text: str) -> list[str]:
    """Return the credential provider of every reference in `text`."""
    return [_provider_and_name(match["asked"])[0] for match in _REFERENCE.finditer(text)]


def _provider_and_name(asked: str, known: Collection[str] = ()) -> tuple[str, str]:
    """Tell which provider a reference asks, by its name or by `module:name`, and for what. A word before a colon is the
    name of a provider, if one is `known` or offered by that name."""
    first, colon, rest = asked.partition(":")
    named = bool(colon and rest) and _NAME.fullmatch(first) is not None
    second, further, name = rest.partition(":")
    if further and name and is_reference(module := f"{first}:{second}"):
        return (first, rest) if named and (first in known or is_known(first)) else (module, name)
    return (first, rest) if named else ("env", asked)


@runtime_checkable
class CredentialProvider(Protocol):
    """Describes a place where secrets are kept."""

    def get(self, name: str) -> str | None:
        """Return the secret with that name; None where there is none."""
        ...

    remedy: str
    """Says how a person sets a secret; `{name}` stands for its name."""


class EnvProvider:
    """Finds secrets in environment variables. With a prefix, `${KEY}` is read from `<PREFIX>KEY`, and otherwise from
    `KEY`."""

    remedy = "Set the environment variable {name} where the worker runs."

    def __init__(self, environ: Mapping[str, str] | None = None, prefix: str = "") -> None:
        self._environ = os.environ if environ is None else environ
        self._prefix = prefix

    def get(self, name: str) -> str | None:
        return self._environ.get(f"{self._prefix}{name}") or self._environ.get(name)


class FileProvider:
    """Finds secrets in files that hold one each, as Docker and Kubernetes mount them: `${file:/run/secrets/db}`."""

    remedy = "Put the secret into the file {name} where the worker runs."

    def get(self, name: str) -> str | None:
        path = Path(name)
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def is_known(name: str) -> bool:
    """Tell whether a credential provider is known by that name. Imports none."""
    return name in BUILTIN or name in names(Kind.CREDENTIAL)


def plugin_provider(name: str) -> CredentialProvider | None:
    """Return the credential provider that a plugin brings. Raises `PluginUnusable`."""
    found = find(Kind.CREDENTIAL, name)
    if found is None:
        return None
    try:
        made = found() if isinstance(found, type) else found
    except Exception as error:
        raise PluginUnusable(f"The credential provider '{name}' cannot be made: {named(error)}") from error
    if isinstance(made, CredentialProvider):
        return made
    raise PluginUnusable(f"The credential provider '{name}' has no `get` and `remedy`.")


BUILTIN = ("env", "file")
"""Holds the credential providers that Loom brings."""


class Credentials:
    """Replaces references in a text by their secrets."""

    def __init__(self, providers: Mapping[str, CredentialProvider] | None = None) -> None:
        self._providers: dict[str, CredentialProvider] = {"env": EnvProvider(), "file": FileProvider()}
        if providers:
            self._providers = dict(providers)
        self._given: set[str] = set()
        """Every secret that was put into a text."""

    def expand(self, text: str, *, in_url: bool = False) -> str:
        """Return `text` with every reference replaced; `in_url` percent-encodes the secrets.

        Raises `MissingCredential`."""
        if "${" not in text:
            return text

        def value(match: re.Match[str]) -> str:
            secret = self._get(match)
            return quote(secret, safe="") if in_url and match.start() > 0 else secret

        return _REFERENCE.sub(value, text)

    def expand_if_set(self, text: str) -> str | None:
        """Return `text` with every reference replaced; None where one of them has no value.

        Raises `MissingCredential` where nobody knows the credential provider that a reference names."""
        found = {match[0]: self._find(match) for match in _REFERENCE.finditer(text)}
        if None in found.values():
            return None
        return _REFERENCE.sub(lambda match: found[match[0]] or "", text)

    def without_secrets(self, text: str) -> str:
        """Return `text`, which foreign code wrote, with `***` in place of every secret that it may know. A secret of
        fewer than four characters stays, because replacing it would make the text unreadable."""
        forms = {form for secret in self._given if len(secret) > 3 for form in (secret, quote(secret, safe=""))}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text

    def missing(self, text: str) -> list[MissingCredential]:
        """Return an error for every reference in `text` that has no value."""
        errors = []
        for match in _REFERENCE.finditer(text):
            try:
                self._get(match)
            except MissingCredential as error:
                errors.append(error)
        return errors

    def _provider(self, name: str) -> CredentialProvider | None:
        if name not in self._providers and (made := plugin_provider(name)) is not None:
            self._providers[name] = made
        return self._providers.get(name)

    def _get(self, match: re.Match[str]) -> str:
        provider, name = self._asked(match)
        secret = self._secret(provider, name)
        if secret is None:
            raise MissingCredential(match[0], provider.remedy.format(name=name))
        return secret

    def _find(self, match: re.Match[str]) -> str | None:
        return self._secret(*self._asked(match))

    def _secret(self, provider: CredentialProvider, name: str) -> str | None:
        secret = provider.get(name)
        if secret is not None:
            self._given.add(secret)
        return secret

    def _asked(self, match: re.Match[str]) -> tuple[CredentialProvider, str]:
        """Return the provider that a reference asks, and for what. Raises `MissingCredential` where there is none."""
        provider_name, name = _provider_and_name(match["asked"], self._providers)
        try:
            provider = self._provider(provider_name)
        except PluginUnusable as error:
            raise MissingCredential(match[0], str(error)) from error
        if provider is None:
            known = ", ".join(dict.fromkeys([*self._providers, *names(Kind.CREDENTIAL)]))
            raise MissingCredential(match[0], f"There is no credential provider '{provider_name}'; known: {known}.")
        return provider, name
