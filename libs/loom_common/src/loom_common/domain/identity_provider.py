"""Says by which OpenID provider people sign in to the console, and programs to the API."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from loom_common.domain.section import Mistake, SecretRef, Section, WebLocation, mistake, said
from loom_common.domain.values.durations import Limit, seconds

CALLBACK = "/login/callback"
"""The path, below the console's address, to which the provider sends people back."""


class OidcConfig(Section):
    """Says which OpenID provider is asked who somebody is. Needs the extra `oidc`."""

    issuer: WebLocation = Field(
        description="The provider's address, as its discovery document names it: "
        "`https://login.example/realms/data`. Everything else about it is read from there."
    )
    client_id: str = Field(min_length=1, description="The name by which the provider knows the console of Loom.")
    client_secret: SecretRef | None = Field(
        None, description="A reference: `${OIDC_SECRET}`. None for a public client, which PKCE alone protects."
    )
    console_url: WebLocation = Field(
        description="The address at which people open the console: `https://loom.example`. The provider has to know "
        f"`{CALLBACK}` below it as a redirect URI."
    )
    scopes: list[str] = Field(
        default_factory=lambda: ["openid", "profile", "email"], description="What the provider is asked for."
    )
    user_claim: str = Field(
        "sub",
        min_length=1,
        description="The claim that is the user's name in policies and in the audit log. `sub` is the only one that a "
        "provider may give to nobody else later; `email` counts where the provider has verified it.",
    )
    groups_claim: str | None = Field(
        None,
        min_length=1,
        description="The claim that lists the user's groups, for policies of `group:NAME`; `realm_access.roles` is "
        "`roles` in `realm_access`.",
    )
    audience: str | None = Field(
        None,
        min_length=1,
        description="The audience of access tokens of the provider that the API takes. None: it takes Loom's own "
        "tokens alone.",
    )
    session: Limit = Field("12h", description="How long somebody stays signed in to the console.")

    @property
    def session_seconds(self) -> float:
        """Return the same in seconds."""
        return seconds(self.session)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand addresses that nobody between can change or read, and an audience that ID tokens do not have."""
        for key in ("issuer", "console_url"):
            url = said(written, key)
            if isinstance(url, str) and "${" not in url and (expected := unusable(url, bare=key == "console_url")):
                yield mistake((key,), "address", expected, url)
        scopes = said(written, "scopes")
        if isinstance(scopes, list) and "openid" not in scopes:
            yield mistake(("scopes",), "openid", "`openid` among them", scopes)
        audience = said(written, "audience")
        if audience is not None and audience == said(written, "client_id"):
            yield mistake(
                ("audience",), "audience", "another audience than `client_id`, which the console's ID tokens have",
                audience,
            )  # fmt: skip


def unusable(url: str, *, bare: bool) -> str | None:
    """Say what is expected in the place of an address that is no issuer or, where it is to be `bare`, has a path; None
    where it can be used."""
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname, parts.port
    except ValueError:
        return "an address"
    if parts.scheme not in ("http", "https") or not name or not url.isprintable() or " " in url:
        return "an address that begins with https://"
    if parts.scheme == "http" and not is_loopback(name):
        return "an address that begins with https://, unless it is of this machine"
    if parts.query or parts.fragment or parts.username is not None or (bare and parts.path not in ("", "/")):
        return f"an address without {'path, ' if bare else ''}user, query and fragment"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether an address, or the name `localhost`, is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
