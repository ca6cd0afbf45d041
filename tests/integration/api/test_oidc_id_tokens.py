"""Tests which ID tokens of an OpenID provider open a session: none that is forged, and none that is not for Loom."""

from __future__ import annotations

import time
from functools import partial

from joserfc.jwk import ECKey

from support.oidc_browser import (
    as_hmac,
    browsing,
    by_another_key,
    cookies_in,
    count_sessions,
    sent_back,
    with_no_algorithm,
)
from support.oidc_provider import CLIENT, encoded

NOW = int(time.time())


def _changed(provider, claims):
    head, _, signature = provider.signed(claims).split(".")
    return f"{head}.{encoded({**claims, 'email': 'root@example.com'})}.{signature}"


def _critical(provider, claims):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    [key] = provider.keys.values()
    signed = f"{encoded({'alg': 'ES256', 'kid': 'first', 'crit': ['x'], 'x': 1})}.{encoded(claims)}"
    numbers = decode_dss_signature(key.private_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encoded(b''.join(each.to_bytes(32, 'big') for each in numbers))}"


FORGED = {
    "alg none": with_no_algorithm,
    "no signature": lambda provider, claims: provider.signed(claims).rpartition(".")[0] + ".",
    "the public key as a secret": as_hmac,
    "another key": by_another_key,
    "changed claims": _changed,
    "an unknown kid": lambda provider, claims: provider.signed(claims, kid="another"),
    "its own key": lambda provider, claims: provider.signed(
        claims, key := ECKey.generate_key("P-256"), kid="mine", jwk=key.as_dict(private=False)
    ),
    "an unknown critical header": _critical,
    "no token": lambda provider, claims: "eyJhbGciOiJub25lIn0",
    "a deep header": lambda provider, claims: f"{encoded(b'[' * 5000)}.a.b",
    "nothing": lambda provider, claims: None,
}


async def test_a_token_that_the_provider_did_not_sign_opens_nothing(engine, provider):
    async with browsing(engine, provider) as client:
        for case, forged in FORGED.items():
            provider.forge = partial(forged, provider)
            await refused(client, provider, case)
    assert await count_sessions(engine) == 0


DISHONEST = [
    {"iss": "https://evil.example"},
    {"iss": None},
    {"aud": "another"},
    {"aud": None},
    {"aud": []},
    {"aud": [CLIENT, "another"]},
    {"aud": [CLIENT, "another"], "azp": "another"},
    {"azp": "another"},
    {"nonce": "another"},
    {"nonce": None},
    {"nonce": 5},
    {"exp": NOW - 600},
    {"exp": None},
    {"exp": "tomorrow"},
    {"exp": float("inf")},
    {"iat": NOW + 86400},
    {"nbf": NOW + 86400},
    {"iat": None},
    {"sub": None},
    {"sub": 5},
    {"email": None},
    {"email": "group:readers"},
    {"email": "anna@example.com\n"},
    {"email": "\ud800"},
    {"email": ["anna@example.com"]},
    {"email": "a" * 300},
    {"email_verified": False},
    {"email_verified": None},
    {"groups": [f"g{number}" for number in range(1001)]},
]


async def test_a_token_that_does_not_hold_here_opens_nothing(engine, provider):
    async with browsing(engine, provider) as client:
        for claims in DISHONEST:
            provider.claims = claims
            await refused(client, provider, claims)
    assert await count_sessions(engine) == 0


async def refused(client, provider, case):
    answer = await client.get(await sent_back(client, provider))
    assert (answer.status_code, 'role="alert"' in answer.text) == (401, True), (case, answer.text)
    assert cookies_in(answer, "loom_session") == [], case
    assert "Max-Age=0" in cookies_in(answer, "loom_login")[0]


async def test_clocks_may_be_a_minute_apart(engine, provider):
    provider.claims = {"exp": int(time.time()) - 20, "iat": int(time.time()) + 20}
    async with browsing(engine, provider) as client:
        assert (await client.get(await sent_back(client, provider))).status_code == 200
