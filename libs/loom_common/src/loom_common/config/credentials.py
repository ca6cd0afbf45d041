"""Resolves credential references, `${NAME}` and `${provider:name}`, in the worker that needs them.

A resolved secret exists only in this process: in the connection that it opens, and, where looking it up takes a request
to another system, in memory for a few minutes. It is never stored, logged or sent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote

from cachetools import TTLCache

from loom_common.config.secrets.environment import FILE_NAME, EnvProvider
from loom_common.config.secrets.mounted_files import FileProvider
from loom_common.errors import (
    ConfigurationError,
    DependencyUnavailable,
    MissingCredential,
    PathNotAllowed,
    PluginUnusable,
)
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, is_reference, names
from loom_common.text import named

_REFERENCE = re.compile(r"\$\{(?P<asked>[^}]+)\}")
_NAME = re.compile(r"[a-z_]+")
_IN_FRONT_OF_HOST = re.compile(r"[\w+.-]+://(?:[^/?#]*@)?")
_BEHIND_HOST = re.compile(r"(?::[^/?#@]*)?(?:[/?#]|$)")
_NO_HOST = re.compile(r"[\s:/?#@\[\]]")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_NEAR = ("env", "file")
"""Providers of this machine. They are asked each time, so a changed secret is used at once."""
KEPT_SECONDS = 300.0
"""The number of seconds for which the answer of any other provider is used. A refused credential is looked up anew
before that."""
_MOST_KEPT = 256


def references(text: str) -> list[str]:
    """Return every reference in `text`, as it is written."""
    return [match[0] for match in _REFERENCE.finditer(text)]


def provider_names_in(text: str) -> list[str]:
    """Return the credential provider of every reference in `text`."""
    return [_provider_and_name(match["asked"])[0] for match in _REFERENCE.finditer(text)]


def _provider_and_name(asked: str, known: Collection[str] = ()) -> tuple[str, str]:
    """Tell which provider a reference asks, by its name or by `module:name`, and for what. A word before a colon is the
    name of a provider, if one is `known` or offered by that name."""
    if ":" not in asked:
        return "env", asked
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
        """Return the secret with that name; None where there is none. Raises `ConfigurationError` for one that cannot
        be had until somebody changes something, `DependencyUnavailable` where the place is away."""
        ...

    remedy: str
    """Says how a person sets a secret; `{name}` stands for its name."""


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


BUILTIN = ("env", "file", "aws", "vault")
"""Holds the credential providers that Loom brings."""


def _remote_provider(name: str) -> CredentialProvider | None:
    """Return one of Loom's own providers that ask another system."""
    if name == "aws":
        from loom_common.config.secrets.aws import AwsProvider

        return AwsProvider()
    if name == "vault":
        from loom_common.config.secrets.vault import VaultProvider

        return VaultProvider()
    return None


class Credentials:
    """Replaces references in a text by their secrets."""

    def __init__(
        self,
        providers: Mapping[str, CredentialProvider] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers: dict[str, CredentialProvider] = {"env": EnvProvider(), "file": FileProvider()}
        if providers:
            self._providers = dict(providers)
        self._given: set[str] = set()
        """Every secret that was put into a text."""
        self._kept: TTLCache[str, str] = TTLCache(_MOST_KEPT, KEPT_SECONDS, timer=clock)

    @classmethod
    def of_project(cls, folder: Path, prefix: str = "", allowed: Sequence[Path] = ()) -> Credentials:
        """Return the credentials of a project: with the file `.env` of its folder, the prefix of variables that it
        asks for, and the folders besides its own that files may lie in."""
        return cls({"env": EnvProvider(prefix=prefix, file=folder / FILE_NAME), "file": FileProvider(folder, *allowed)})

    def expand(self, text: str, *, in_url: bool = False) -> str:
        """Return `text` with every reference replaced; `in_url` percent-encodes the secrets. A secret that was not
        fetched before is waited for.

        Raises `MissingCredential`, also where the host of a URL is none, and `DependencyUnavailable`."""
        if "${" not in text:
            return text

        def value(match: re.Match[str]) -> str:
            secret = self._get(match)
            if not in_url or match.start() == 0:
                return secret
            return _host(secret, match[0]) if _is_the_host(match) else quote(secret, safe="")

        return _REFERENCE.sub(value, text)

    def expand_if_set(self, text: str) -> str | None:
        """Return `text` with every reference replaced; None where one of them has no value.

        Raises `MissingCredential` where nobody knows the credential provider that a reference names."""
        found = {match[0]: self._find(match) for match in _REFERENCE.finditer(text)}
        if None in found.values():
            return None
        return _REFERENCE.sub(lambda match: found[match[0]] or "", text)

    async def fetch(self, *texts: str) -> None:
        """Look up the secrets of these texts that another system has, so that `expand` need not wait for them. What is
        missing is told by `expand`.

        Raises `DependencyUnavailable`."""
        wanted = [asked for text in texts for asked in _asked_elsewhere(text) if asked not in self._kept]
        if wanted:
            await asyncio.to_thread(self._fetch_all, dict.fromkeys(wanted))

    async def fetch_anew(self, *texts: str) -> None:
        """Look up the secrets of these texts again, because one of them was refused. Raises `DependencyUnavailable`."""
        for text in texts:
            for asked in _asked_elsewhere(text):
                self._kept.pop(asked, None)
        await self.fetch(*texts)

    def _fetch_all(self, wanted: Collection[str]) -> None:
        for asked in wanted:
            for error in self.missing("${" + asked + "}"):
                if isinstance(error, DependencyUnavailable):
                    raise error

    def without_secrets(self, text: str) -> str:
        """Return `text`, which foreign code wrote, with `***` in place of every secret that it may know. A secret of
        fewer than four characters stays, because replacing it would make the text unreadable."""
        forms = {form for secret in self._given if len(secret) > 3 for form in (secret, quote(secret, safe=""))}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text

    def missing(self, text: str) -> list[MissingCredential | DependencyUnavailable]:
        """Return an error for every reference in `text` that has no value, or whose provider is away."""
        errors: list[MissingCredential | DependencyUnavailable] = []
        for match in _REFERENCE.finditer(text):
            try:
                self._get(match)
            except (MissingCredential, DependencyUnavailable) as error:
                errors.append(error)
        return errors

    def _provider(self, name: str) -> CredentialProvider | None:
        if name not in self._providers and (made := _remote_provider(name) or plugin_provider(name)) is not None:
            self._providers[name] = made
        return self._providers.get(name)

    def _get(self, match: re.Match[str]) -> str:
        secret = self._find(match)
        if secret is None:
            provider, _, name = self._asked(match)
            raise MissingCredential(match[0], provider.remedy.format(name=name))
        return secret

    def _find(self, match: re.Match[str]) -> str | None:
        """Return what a reference names; None where its provider has nothing by that name."""
        provider, provider_name, name = self._asked(match)
        near, asked = provider_name in _NEAR, match["asked"]
        secret: str | None = None if near else self._kept.get(asked)
        if secret is None:
            secret = _read(provider, name, match[0])
            if secret is not None and not near:
                self._kept[asked] = secret
        if secret is not None:
            self._given.add(secret)
        return secret

    def _asked(self, match: re.Match[str]) -> tuple[CredentialProvider, str, str]:
        """Return the provider that a reference asks, its name, and for what. Raises `MissingCredential` where there is
        no such provider."""
        provider_name, name = _provider_and_name(match["asked"], self._providers)
        try:
            provider = self._provider(provider_name)
        except PluginUnusable as error:
            raise MissingCredential(match[0], str(error)) from error
        if provider is None:
            known = ", ".join(dict.fromkeys([*self._providers, *BUILTIN, *names(Kind.CREDENTIAL)]))
            raise MissingCredential(match[0], f"There is no credential provider '{provider_name}'; known: {known}.")
        return provider, provider_name, name


def _is_the_host(reference: re.Match[str]) -> bool:
    """Tell whether a reference is all that a URL has for its host."""
    before, after = reference.string[: reference.start()], reference.string[reference.end() :]
    in_front = _IN_FRONT_OF_HOST.fullmatch(before) is not None
    return in_front and _BEHIND_HOST.match(after) is not None


def _host(secret: str, reference: str) -> str:
    """Return the host for a URL. Raises `MissingCredential` where it is something else, without what it is."""
    if _IPV6.fullmatch(secret):
        return secret
    if _NO_HOST.search(secret):
        remedy = (
            "There a reference stands for the host alone: write its port, and whatever else follows, behind it "
            f"(`{reference}:1234`), or let one reference be the whole URL."
        )
        raise MissingCredential(reference, remedy, "is no name of a host")
    return quote(secret, safe="")


def _read(provider: CredentialProvider, name: str, reference: str) -> str | None:
    """Ask a provider. Raises `MissingCredential` where it cannot tell, `DependencyUnavailable`."""
    try:
        return provider.get(name)
    except ConfigurationError as error:
        raise MissingCredential(reference, str(error), "cannot be read") from error
    except PathNotAllowed as error:
        raise MissingCredential(reference, str(error), "may not be read") from error
    except (OSError, ValueError) as error:
        raise MissingCredential(reference, _unread(error), "cannot be read") from None


def _unread(error: OSError | ValueError) -> str:
    """Say why a file could not be read, without anything that it holds."""
    return f"{error.strerror}." if isinstance(error, OSError) and error.strerror else "It is no text in UTF-8."


@lru_cache(maxsize=1000)
def _asked_elsewhere(text: str) -> tuple[str, ...]:
    """Return what the references of a text ask of providers that may have to ask another system."""
    return tuple(_found_elsewhere(text)) if "${" in text else ()


def _found_elsewhere(text: str) -> Iterator[str]:
    for match in _REFERENCE.finditer(text):
        if _provider_and_name(match["asked"])[0] not in _NEAR:
            yield match["asked"]
