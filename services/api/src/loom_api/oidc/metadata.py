"""Reads what an OpenID provider says of itself (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from loom_api.oidc.exchange import ask
from loom_common.domain.identity_provider import is_loopback
from loom_common.errors import DependencyUnavailable


@dataclass(frozen=True, slots=True)
class Metadata:
    """Describes a provider."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    secret_in_body: bool
    """Tells whether it takes the client's secret in the body of a request alone."""
    names_itself: bool
    """Tells whether it names itself where it sends people back (RFC 9207)."""


async def discover(issuer: str) -> Metadata:
    """Ask a provider what it says of itself. Raises `DependencyUnavailable` where it is away, or says nothing of
    use."""
    status, said = await ask(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if status != 200 or not said:
        raise DependencyUnavailable(
            f"There is no OpenID provider at {issuer}: its discovery document came with the status {status}. Check "
            "`access.oidc.issuer` in loom.yaml."
        )
    if said.get("issuer") != issuer:
        raise DependencyUnavailable(
            f"The OpenID provider names itself otherwise than `access.oidc.issuer` in loom.yaml does: {issuer}."
        )
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_needed(said, "authorization_endpoint", issuer),
        token_endpoint=_needed(said, "token_endpoint", issuer),
        jwks_uri=_needed(said, "jwks_uri", issuer),
        userinfo_endpoint=_endpoint(said, "userinfo_endpoint", issuer),
        end_session_endpoint=_endpoint(said, "end_session_endpoint", issuer),
        secret_in_body=_in_body(said.get("token_endpoint_auth_methods_supported")),
        names_itself=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _needed(said: Mapping[str, Any], key: str, issuer: str) -> str:
    if (found := _endpoint(said, key, issuer)) is not None:
        return found
    raise DependencyUnavailable(f"The OpenID provider {issuer} names no `{key}` that can be asked.")


def _endpoint(said: Mapping[str, Any], key: str, issuer: str) -> str | None:
    """Return an endpoint; None where there is none, or where others could read what is sent there."""
    url = said.get(key)
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        name = parts.hostname or ""
    except ValueError:
        return None
    plain = parts.scheme == "http" and is_loopback(name) and is_loopback(urlsplit(issuer).hostname or "")
    return url if name and (parts.scheme == "https" or plain) else None


def _in_body(methods: object) -> bool:
    return isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
