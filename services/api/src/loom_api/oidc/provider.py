"""Speaks to an OpenID provider: sends people there, takes their codes, and checks its tokens."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from loom_api.oidc import claims as checks
from loom_api.oidc.attempt import Attempt
from loom_api.oidc.claims import Identity
from loom_api.oidc.exchange import ask
from loom_api.oidc.kept import Kept
from loom_api.oidc.metadata import Metadata, discover
from loom_api.oidc.refusal import SignInRefused
from loom_api.oidc.verification import Keys, header_of, verified
from loom_common.config.credentials import Credentials
from loom_common.domain.identity_provider import CALLBACK, OidcConfig, unusable
from loom_common.errors import ConfigurationError, DependencyUnavailable


class Provider:
    """Represents the provider of a project. It is asked when somebody signs in, not before."""

    def __init__(
        self,
        config: OidcConfig,
        secrets: Credentials,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `ConfigurationError` for an address that cannot be used, and `MissingCredential`."""
        self._config = config
        self._secrets = secrets
        self._now = now
        self.issuer = secrets.expand(config.issuer)
        """The provider's address."""
        self._console = secrets.expand(config.console_url).rstrip("/")
        for key, url, bare in (("issuer", self.issuer, False), ("console_url", self._console, True)):
            if expected := unusable(url, bare=bare):
                raise ConfigurationError(f"access.oidc.{key} in loom.yaml is to be {expected}.")
        self._metadata = Kept(lambda: discover(self.issuer), monotonic)
        self._keys = Kept(self._fetched_keys, monotonic)

    @property
    def takes_tokens(self) -> bool:
        """Tell whether the API takes access tokens of this provider."""
        return self._config.audience is not None

    @property
    def session_seconds(self) -> float:
        """Return how long a session of the console lasts."""
        return self._config.session_seconds

    async def sign_in_url(self, attempt: Attempt) -> str:
        """Return the address at the provider where somebody signs in. Raises `DependencyUnavailable`."""
        known = await self._metadata.get()
        return _with(
            known.authorization_endpoint,
            response_type="code",
            client_id=self._config.client_id,
            redirect_uri=self._console + CALLBACK,
            scope=" ".join(self._config.scopes),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=attempt.challenge,
            code_challenge_method="S256",
        )

    async def sign_out_url(self) -> str | None:
        """Return the address at the provider where somebody signs out; None where there is none, or it is away."""
        try:
            known = await self._metadata.get()
        except DependencyUnavailable:
            return None
        if known.end_session_endpoint is None:
            return None
        back = f"{self._console}/login"
        return _with(known.end_session_endpoint, client_id=self._config.client_id, post_logout_redirect_uri=back)

    async def signed_in(self, attempt: Attempt, code: str, issuer: str | None) -> Identity:
        """Return who has signed in, by the code with which the provider sent them back, and the name that it gave
        itself there. Raises `SignInRefused`, and `DependencyUnavailable` where it is away."""
        known = await self._metadata.get()
        if issuer != known.issuer and (issuer is not None or known.names_itself):
            raise SignInRefused("The answer came from another OpenID provider.")
        answer = await self._exchanged(known, attempt, code)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise SignInRefused("The OpenID provider gave no ID token.")
        said = await self._verified(token)
        checks.check_id_token(said, self.issuer, self._config.client_id, attempt.nonce, int(self._now()))
        if checks.missing(said, self._config) and known.userinfo_endpoint and isinstance(access, str):
            said = {**await self._user_info(known.userinfo_endpoint, access, said["sub"]), **said}
        return checks.identity(said, self._config)

    async def bearer(self, token: str) -> Identity:
        """Return whose access token this is. Raises `SignInRefused`, and `DependencyUnavailable` where the keys of the
        provider are not known, and it is away."""
        assert self._config.audience is not None
        kind = header_of(token)[2]
        said = await self._verified(token)
        checks.check_access_token(said, self.issuer, self._config.audience, kind, int(self._now()))
        return checks.identity(said, self._config)

    async def _verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that the provider signed. A key that is not known is looked for anew, but not
        for each token."""
        kid, algorithm, _ = header_of(token)
        fitting = (await self._keys.get()).fitting(kid, algorithm)
        if not fitting:
            fitting = (await self._keys.get(anew=True)).fitting(kid, algorithm)
        said = verified(token, fitting)
        if said is None:
            raise SignInRefused("No key of the OpenID provider signed this token.")
        return said

    async def _fetched_keys(self) -> Keys:
        known = await self._metadata.get()
        status, document = await ask(known.jwks_uri)
        if status != 200 or not isinstance(document.get("keys"), list):
            raise DependencyUnavailable(f"The OpenID provider gives no keys: its answer has the status {status}.")
        return Keys(document)

    async def _exchanged(self, known: Metadata, attempt: Attempt, code: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._console + CALLBACK,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        if self._config.client_secret is None:
            form["client_id"] = self._config.client_id
        else:
            await self._secrets.fetch(self._config.client_secret)
            secret = self._secrets.expand(self._config.client_secret)
            if known.secret_in_body:
                form |= {"client_id": self._config.client_id, "client_secret": secret}
            else:  # RFC 6749, section 2.3.1: both are encoded as in a form
                pair = f"{quote_plus(self._config.client_id)}:{quote_plus(secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        status, answer = await ask(known.token_endpoint, headers, form)
        if status == 401 or answer.get("error") == "invalid_client":
            raise SignInRefused(
                "The OpenID provider does not accept Loom as its client. Whoever runs Loom checks `client_id` and "
                "`client_secret` of `access.oidc`."
            )
        if status != 200:
            raise SignInRefused("The OpenID provider does not accept the code. It can be used once, and soon.")
        return answer

    async def _user_info(self, endpoint: str, access: str, subject: str) -> Mapping[str, Any]:
        """Return what the provider says of somebody beside the ID token. Raises `SignInRefused` where that is somebody
        else."""
        status, said = await ask(endpoint, {"Authorization": f"Bearer {access}"})
        if status != 200 or said.get("sub") != subject:
            raise SignInRefused("The OpenID provider does not say who signed in.")
        return said


def _with(url: str, **query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
