"""Finds out whether a model's endpoint is there and lets one in, without a call that costs anything."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from loom_ai.http.endpoints import Endpoint
from loom_ai.http.http_errors import EndpointReference, unreachable_error
from loom_ai.stores.beside_journal import open_journal
from loom_ai.wire.wires import wire_of
from loom_common.config.credentials import Credentials
from loom_common.domain.model_options.providers import ADAPTED, provider_named
from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError

_SECONDS = 10.0
_NOT_THERE = 404
_NO_WAY_THROUGH = (502, 503, 504)


async def reach(endpoint: Endpoint, credentials: Credentials) -> str:
    """Tell in words how the endpoint answers a GET. What answers at all, in HTTP, is there: questions are POSTed.

    Raises `DependencyUnavailable` with the cause where it cannot be reached, `AccessRefused` where it does not take the
    key, `PermanentError` where the address is none of a provider's."""
    if endpoint.provider in ADAPTED:
        return "is asked through its provider's own library, and was not tried"
    reference = endpoint.api_key if endpoint.api_key is not None else provider_named(endpoint.provider).key or ""
    place = EndpointReference(endpoint.base_url, endpoint.model, reference)
    await credentials.fetch(endpoint.base_url, reference)
    base_url = credentials.expand(endpoint.base_url, in_url=True).rstrip("/")
    secret = credentials.expand(reference).strip() if reference and not credentials.missing(reference) else None
    wire = wire_of(endpoint.provider)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session:
            statuses = []
            for url in (wire.url(base_url, endpoint.model), f"{base_url}/models"):
                async with session.get(url, headers=wire.headers(secret), allow_redirects=False) as response:
                    statuses.append(response.status)
                if statuses[-1] != _NOT_THERE:
                    break
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise PermanentError(f"{place}: `base_url` is no http(s) address.") from error
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise unreachable_error(place, error, base_url) from error
    return _meaning(statuses[-1], place)


async def reach_journal(url: str, folder: Path) -> None:
    """See that the journal that `url` names can be read. Raises `DependencyUnavailable` with the cause."""
    from loom_ai.stores.redis.connection import RedisStore  # its client imports OpenTelemetry, where that is installed

    journal = open_journal(url, folder)
    try:
        if isinstance(journal, RedisStore):  # a run goes on without it, and so its look-ups raise nothing
            await journal.ping()
        else:
            await journal.get_many(["0" * 64])
    finally:
        await journal.close()


def _meaning(status: int, place: EndpointReference) -> str:
    match status:
        case 401 | 403 | 407:
            who = "the proxy before it" if status == 407 else "it"
            raise AccessRefused(f"{place}: {who} refused access (HTTP {status}). Set the credential {place.key}.")
        case 404:
            raise PermanentError(
                f"{place}: something answers, but not at this address (HTTP 404). Check `base_url` (it often ends in "
                "/v1)."
            )
        case 502 | 503 | 504:
            raise DependencyUnavailable(f"{place}: HTTP {status}. What stands before it does not reach it.")
    return "answers"
