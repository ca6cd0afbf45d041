"""Checks the signature of a token against a provider's keys (RFC 7515, RFC 7517)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

from loom_api.oidc.refusal import SignInRefused

Key = RSAKey | ECKey | OKPKey

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
"""Holds the algorithms that are accepted, each with the kind of its keys. All are asymmetric: with a symmetric one, a
provider's public key would be the secret, and `none` is no signature."""
LONGEST = 32_000
"""The most characters of a token."""
_LEAST_RSA_BITS = 2048
_MOST_TRIED = 10
"""Says how many keys are tried for a token that does not say which one signed it."""


class _Registry(JWSRegistry):
    """Takes tokens with many groups, and ignores what it does not know in a header, as RFC 7515 says, except `crit`."""

    max_header_length = 8_000
    max_payload_length = LONGEST

    def __init__(self) -> None:
        super().__init__(algorithms=list(KINDS), strict_check_header=False)


class Keys:
    """Holds a provider's keys."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read a JSON Web Key Set. Keys that are of no use here are left out, as RFC 7517 says."""
        listed = document.get("keys")
        written = listed if isinstance(listed, list) else []
        self._keys = [key for each in written if (key := _key(each)) is not None]

    def fitting(self, kid: str | None, algorithm: str) -> Sequence[Key]:
        """Return the keys that may have signed a token."""
        return [
            key
            for key in self._keys
            if key.key_type == KINDS[algorithm]
            and kid in (None, key.get("kid"))
            and key.get("alg") in (None, algorithm)
        ][:_MOST_TRIED]


def _key(written: object) -> Key | None:
    if not isinstance(written, dict) or written.get("use") not in (None, "sig"):
        return None
    public = {name: value for name, value in written.items() if name != "d"}
    try:
        key = import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def header_of(token: str) -> tuple[str | None, str, str | None]:
    """Return the id of the key, the algorithm and the type that a token names. Nothing of it is verified. Raises
    `SignInRefused` for what is no signed token, or is signed in a way that is not accepted."""
    try:
        signed = len(token) <= LONGEST and token.count(".") == 2 and token.isascii()
        encoded = token.partition(".")[0] if signed else ""
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise SignInRefused("This is no token of the OpenID provider.")
    kid, algorithm, kind = (header.get(name) for name in ("kid", "alg", "typ"))
    if not isinstance(algorithm, str) or algorithm not in KINDS:
        raise SignInRefused(f"The token is not signed by an algorithm that is accepted: {', '.join(KINDS)}.")
    return kid if isinstance(kid, str) else None, algorithm, kind if isinstance(kind, str) else None


def verified(token: str, keys: Sequence[Key]) -> dict[str, Any] | None:
    """Return the claims of a token that one of the keys signed; None where none did."""
    for key in keys:
        try:
            return dict(jwt.decode(token, key, registry=_Registry()).claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
    return None
