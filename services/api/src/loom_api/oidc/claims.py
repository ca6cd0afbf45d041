"""Decides whether the claims of a token hold here, and whom they name. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwt import JWTClaimsRegistry

from loom_api.oidc.refusal import SignInRefused
from loom_common.domain.access import GROUP
from loom_common.domain.identity_provider import OidcConfig

LEEWAY_SECONDS = 60
"""Says how far the provider's clock and this one may be apart."""
_LONGEST_NAME = 255
_MOST_GROUPS = 1_000
_ACCESS_TOKENS = frozenset({None, "jwt", "at+jwt", "application/at+jwt"})
"""Holds the types of tokens that the API takes (RFC 9068); older providers say `JWT`."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Names a user as a provider does."""

    user: str
    groups: tuple[str, ...]
    subject: str
    """Is the claim `sub`, which stays the same where the name changes."""


def check_id_token(claims: Mapping[str, Any], issuer: str, client_id: str, nonce: str, now: int) -> None:
    """Check what an ID token says of itself, as OpenID Connect Core 1.0, section 3.1.3.7, demands. Raises
    `SignInRefused`."""
    _check(claims, issuer, client_id, now)
    said, audience, party = claims.get("nonce"), claims["aud"], claims.get("azp")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise SignInRefused("The provider's answer belongs to another attempt to sign in.")
    if party != client_id and (party is not None or (isinstance(audience, list) and len(audience) > 1)):
        raise SignInRefused("The provider's token is for another application.")


def check_access_token(claims: Mapping[str, Any], issuer: str, audience: str, kind: str | None, now: int) -> None:
    """Check what an access token says of itself, whose header names its type. Raises `SignInRefused`."""
    _check(claims, issuer, audience, now)
    if (kind.lower() if kind else None) not in _ACCESS_TOKENS:
        raise SignInRefused("This is no access token.")
    if "cnf" in claims:
        raise SignInRefused("The token is bound to a key of its owner, and the API takes bearer tokens alone.")


def _check(claims: Mapping[str, Any], issuer: str, audience: str, now: int) -> None:
    demanded = JWTClaimsRegistry(
        now=now,
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        demanded.validate(dict(claims))
    except ExpiredTokenError:
        raise SignInRefused("The provider's token has expired.") from None
    except JoseError as error:
        claim = getattr(error, "claim", None)
        which = f"the claim `{claim}`" if isinstance(claim, str) else "a claim"
        raise SignInRefused(
            f"The provider's token cannot be used: {which} is missing, or is not what `access.oidc` and the time of "
            "day demand. Look at its issuer and audience, and at both clocks."
        ) from None


def identity(claims: Mapping[str, Any], config: OidcConfig) -> Identity:
    """Return whom verified claims name. Raises `SignInRefused` where they name nobody that policies could mean."""
    user = _claim(claims, config.user_claim)
    if not isinstance(user, str) or not _usable(user) or user.startswith(GROUP):
        raise SignInRefused(f"The provider says no name that can be used in the claim `{config.user_claim}`.")
    if config.user_claim == "email" and claims.get("email_verified") is not True:
        raise SignInRefused("The provider has not verified the e-mail address.")
    found = None if config.groups_claim is None else _claim(claims, config.groups_claim)
    listed = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    groups = tuple(each for each in listed if isinstance(each, str) and _usable(each))
    if len(groups) > _MOST_GROUPS:
        raise SignInRefused(f"The provider names more than {_MOST_GROUPS} groups.")
    return Identity(user, groups, str(claims["sub"])[:_LONGEST_NAME])


def missing(claims: Mapping[str, Any], config: OidcConfig) -> bool:
    """Tell whether claims that are configured are not among these."""
    wanted = [config.user_claim, *([config.groups_claim] if config.groups_claim else [])]
    wanted += ["email_verified"] if config.user_claim == "email" else []
    return any(_claim(claims, each) is None for each in wanted)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by the path to it: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _usable(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()
