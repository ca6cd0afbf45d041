"""Opens a model of the adapter library on its provider's SDK, configured to try each call once.

The errors of each SDK are classified beside the code that opens it, because nothing else depends on them."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior, UserError
from pydantic_ai.models import Model

from loom_ai.adapted import responses
from loom_ai.http.bodies import ACCEPTED, MOST_BYTES
from loom_ai.http.http_errors import Limits

_REGION = re.compile(r"\Abedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
_OF_THE_TRANSFER = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_USUAL_REGION = "us-east-1"
Errors = tuple[type[Exception], ...]
_MISFITS: Errors = (
    *(ModelAPIError, UnexpectedModelBehavior, AttributeError, LookupError, TypeError, ValueError),
    *(AssertionError, ArithmeticError, RecursionError),
)
"""Holds the errors of the library and the SDKs for a response that is not one of their protocol."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """Is one model of the library, ready to be called. The error classes are looked up in the order of the fields."""

    model: Model
    timeouts: Errors
    """Holds the errors of a call that was not answered in time."""
    no_access: Errors
    """Holds the errors of an SDK that finds no credentials."""
    unreachable: Errors
    """Holds the errors of an endpoint that cannot be reached."""
    broken: Errors
    """Holds the errors of a connection that broke or did not speak HTTP."""
    misconfigured: Errors
    """Holds the errors of an SDK whose configuration is wrong, whatever the question is."""
    unreadable: Errors
    """Holds the errors of a response that the library or SDK cannot read."""
    close: Callable[[], Awaitable[None]]

    @property
    def expected(self) -> Errors:
        """Return all classes of errors that are expected."""
        return (*self.timeouts, *self.no_access, *self.unreachable, *self.broken, *self.misconfigured, *self.unreadable)


def open_model(provider: str, model: str, base_url: str, secret: str | None, limits: Limits) -> OpenedModel:
    """Open a model. `secret` is the API key; None leaves the SDK to find credentials by itself, where it does so."""
    return _MAKERS[provider](model, base_url, secret, limits)


def _cohere(model: str, base_url: str, secret: str | None, limits: Limits) -> OpenedModel:
    import httpx
    from cohere import AsyncClientV2
    from pydantic_ai.models.cohere import CohereModel
    from pydantic_ai.providers.cohere import CohereProvider

    class Kept(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.headers["Accept-Encoding"] = ACCEPTED
            response = await super().handle_async_request(request)
            data = bytearray()
            try:
                async for piece in response.aiter_raw():
                    data += piece
                    if len(data) > MOST_BYTES:
                        break
            finally:
                await response.aclose()
            whole = responses.capture_response(response.status_code, response.headers, bytes(data))
            headers = {name: text for name, text in response.headers.items() if name not in _OF_THE_TRANSFER}
            return httpx.Response(response.status_code, headers=headers, content=whole, request=request)

    at_once = httpx.Limits(max_connections=limits.connections)
    http = httpx.AsyncClient(
        transport=Kept(limits=at_once),
        timeout=httpx.Timeout(limits.read, connect=limits.connect, pool=limits.total),
    )
    # Without a key the endpoint's answer says what is missing; the SDK would read a key from the environment.
    client = AsyncClientV2(secret or "none", base_url=base_url, httpx_client=http, max_retries=0)
    return OpenedModel(
        CohereModel(model, provider=CohereProvider(cohere_client=client)),
        timeouts=(TimeoutError, httpx.TimeoutException),
        unreachable=(httpx.ConnectError,),
        broken=(httpx.RequestError, OSError),
        no_access=(),
        misconfigured=(UserError, httpx.InvalidURL, httpx.UnsupportedProtocol),
        unreadable=_MISFITS,
        close=http.aclose,
    )


def _bedrock(model: str, base_url: str, secret: str | None, limits: Limits) -> OpenedModel:
    import boto3
    import urllib3
    from botocore import exceptions as aws
    from botocore.config import Config
    from botocore.parsers import ResponseParserError
    from botocore.session import Session
    from botocore.tokens import FrozenAuthToken
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    class WithKey(Session):  # type: ignore[misc]  # botocore ships no types
        def get_auth_token(self, **_: Any) -> FrozenAuthToken:
            return FrozenAuthToken(secret)

    session = boto3.Session(botocore_session=WithKey() if secret else None, region_name=region_of(base_url))
    config = Config(
        connect_timeout=limits.connect,
        read_timeout=limits.read,
        max_pool_connections=limits.connections,
        retries={"total_max_attempts": 1},
        signature_version="bearer" if secret else None,
    )
    client = session.client("bedrock-runtime", endpoint_url=base_url, config=config)
    http = client._endpoint.http_session
    send = http.send

    def send_and_keep(request: Any) -> Any:
        request.stream_output = True  # else the whole body is read at once
        response = send(request)
        try:
            data = response.raw.read(MOST_BYTES + 1, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise aws.HTTPClientError(error=error) from error
        if len(data) > MOST_BYTES:
            response.raw.close()
        else:
            response.raw.release_conn()
        response._content = responses.capture_response(response.status_code, response.headers, data)
        return response

    http.send = send_and_keep

    async def close() -> None:
        client.close()

    return OpenedModel(
        BedrockConverseModel(model, provider=BedrockProvider(bedrock_client=client)),
        timeouts=(TimeoutError, aws.ReadTimeoutError),
        unreachable=(aws.EndpointConnectionError, aws.ConnectTimeoutError),
        broken=(aws.HTTPClientError, aws.ConnectionError, OSError),
        no_access=(aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError),
        misconfigured=(UserError, aws.BotoCoreError),
        unreadable=(ResponseParserError, *_MISFITS),
        close=close,
    )


_MAKERS = {"bedrock": _bedrock, "cohere": _cohere}


def region_of(base_url: str) -> str:
    """Return the region that an address names, else the one in the environment, else the default. Requests are signed
    for it."""
    named = _REGION.match(urlsplit(base_url).hostname or "")
    environ = os.environ
    return named[1] if named else environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _USUAL_REGION
