"""Tests which access tokens of an OpenID provider open the API, and how its keys are found."""

from __future__ import annotations

import time

import pytest
from joserfc.jwk import RSAKey

from loom_api.http.answers import PREFIX
from loom_api.oidc.kept import FRESH_SECONDS, PAUSE_SECONDS
from loom_api.oidc.provider import Provider
from loom_api.oidc.refusal import SignInRefused
from loom_common.config.credentials import Credentials
from loom_common.domain.access import OidcConfig
from support.oidc_browser import (
    as_hmac,
    browsing,
    by_another_key,
    configured,
    with_no_algorithm,
)
from support.oidc_provider import AUDIENCE, CLIENT

NOW = int(time.time())


NOT_FOR_THE_API = [
    {"aud": "another"},
    {"aud": CLIENT},
    {"exp": NOW - 600},
    {"exp": None},
    {"iss": "https://evil.example"},
    {"email": "group:readers"},
    {"cnf": {"jkt": "x"}},
    {"nbf": NOW + 86400},
]


async def test_an_access_token_that_is_not_for_the_api_opens_nothing(engine, provider):
    async with browsing(engine, provider) as client:
        for said in NOT_FOR_THE_API:
            bearer = {"Authorization": f"Bearer {provider.access_token(**said)}"}
            answer = await client.get(f"{PREFIX}/runs", headers=bearer)
            assert (answer.status_code, "invalid_token" in answer.headers["www-authenticate"]) == (401, True), said


@pytest.mark.filterwarnings("ignore:Key size should be:joserfc.errors.SecurityWarning")
async def test_rsa_keys_are_accepted_and_short_ones_are_not(provider):
    config = OidcConfig.model_validate(configured(provider))
    for bits, accepted in ((2048, True), (1024, False)):
        provider.keys = {"k": RSAKey.generate_key(bits, {"kid": "k"})}
        asked = Provider(config, Credentials({}))
        if accepted:
            assert (await asked.bearer(provider.access_token())).user == "anna@example.com"
        else:
            with pytest.raises(SignInRefused, match="No key"):
                await asked.bearer(provider.access_token())


async def test_no_other_token_of_the_provider_is_an_access_token(engine, provider):
    said = provider.said({"aud": AUDIENCE, **provider.user})
    async with browsing(engine, provider) as client:
        for token, status in (
            (provider.signed(said, typ="logout+jwt"), 401),
            (provider.signed(said, typ="JWT"), 200),
            (with_no_algorithm(provider, said), 401),
            (as_hmac(provider, said), 401),
            (by_another_key(provider, said), 401),
            ("a.b.c", 401),
            ("x" * 50_000, 401),
        ):
            answer = await client.get(f"{PREFIX}/runs", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, token[:80]
    async with browsing(engine, provider, audience=None) as client:
        bearer = {"Authorization": f"Bearer {provider.access_token()}"}
        assert (await client.get(f"{PREFIX}/runs", headers=bearer)).status_code == 401


async def test_a_new_key_is_found_a_withdrawn_one_is_forgotten_and_a_flood_of_unknown_ones_asks_little(provider):
    clock = [0.0]
    config = OidcConfig.model_validate(configured(provider))
    asked = Provider(config, Credentials({}), monotonic=lambda: clock[0])
    old = provider.access_token()
    assert (await asked.bearer(old)).user == "anna@example.com"
    provider.rotate("second")
    new = provider.access_token()
    for number in range(200):
        with pytest.raises(SignInRefused):
            await asked.bearer(provider.signed(provider.said({}), kid=f"unknown{number}"))
    assert provider.asked["/keys"] == 1
    clock[0] += PAUSE_SECONDS
    assert (await asked.bearer(new)).user == "anna@example.com"
    with pytest.raises(SignInRefused, match="No key"):
        await asked.bearer(old)
    assert provider.asked["/keys"] == 2
    provider.keys.clear()
    clock[0] += FRESH_SECONDS
    with pytest.raises(SignInRefused, match="No key"):
        await asked.bearer(new)
    assert provider.asked["/.well-known/openid-configuration"] == 2
