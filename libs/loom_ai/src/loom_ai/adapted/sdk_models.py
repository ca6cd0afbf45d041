"""Opens a model of the adapter library on its provider's SDK, configured to try each call once.

The errors of each SDK are classified beside the code that opens it, because nothing else depends on them."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior, UserError
from pydantic_ai.models import Model

from loom_ai.adapted.responses import Response
from loom_ai.http.http_errors import Limits
from loom_common.http.bodies import ACCEPTED, MOST_BYTES

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
    """Makes one model of the library for each call. The error classes are looked up in the order of the fields."""

    asking: Callable[[Response], Model]
    """Makes the model for one call, whose response goes into the one that is given. The connections are shared."""
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

    shared = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=limits.connections))

    class Kept(httpx.AsyncBaseTransport):
        def __init__(self, into: Response) -> None:
            self._into = into

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.headers["Accept-Encoding"] = ACCEPTED
            response = await shared.handle_async_request(request)
            data = bytearray()
            try:
                async for piece in response.aiter_raw():
                    data += piece
                    if len(data) > MOST_BYTES:
                        break
            finally:
                await response.aclose()
            whole = self._into.receive(response.status_code, response.headers, bytes(data))
            headers = {name: text for name, text in response.headers.items() if name not in _OF_THE_TRANSFER}
            return httpx.Response(response.status_code, headers=headers, content=whole, request=request)

    timeout = httpx.Timeout(limits.read, connect=limits.connect, pool=limits.total)

    def asking(into: Response) -> Model:
        http = httpx.AsyncClient(transport=Kept(into), timeout=timeout)
        # Without a key the endpoint's answer says what is missing; the SDK would read a key from the environment.
        client = AsyncClientV2(secret or "none", base_url=base_url, httpx_client=http, max_retries=0)
        return CohereModel(model, provider=CohereProvider(cohere_client=client))

    return OpenedModel(
        asking,
        timeouts=(TimeoutError, httpx.TimeoutException),
        unreachable=(httpx.ConnectError,),
        broken=(httpx.RequestError, OSError),
        no_access=(),
        misconfigured=(UserError, httpx.InvalidURL, httpx.UnsupportedProtocol),
        unreadable=_MISFITS,
        close=shared.aclose,
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
    shared = client._endpoint.http_session

    class Kept:
        def __init__(self, into: Response) -> None:
            self._into = into

        def send(self, request: Any) -> Any:
            request.stream_output = True  # else the whole body is read at once
            response = shared.send(request)
            try:
                data = response.raw.read(MOST_BYTES + 1, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise aws.HTTPClientError(error=error) from error
            if len(data) > MOST_BYTES:
                response.raw.close()
            else:
                response.raw.release_conn()
            response._content = self._into.receive(response.status_code, response.headers, data)
            return response

    def asking(into: Response) -> Model:
        # A client for one call: all of it is shared but the way its request is sent. To open one takes long, and the
        # SDK has no copy of it.
        own = object.__new__(type(client))
        vars(own).update(vars(client))
        own._endpoint = copy.copy(client._endpoint)
        own._endpoint.http_session = Kept(into)
        return BedrockConverseModel(model, provider=BedrockProvider(bedrock_client=own))

    async def close() -> None:
        client.close()

    return OpenedModel(
        asking,
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
