"""Defines the settings of REST sources and destinations, under the names that dlt and Airbyte use where they agree."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, field_validator, model_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import SecretRef
from loom_common.domain.values.durations import Duration, Limit
from loom_connectors.options import Options
from loom_connectors.rest.http.json_path import JsonPath, NoPath

_SECRET_NAME = re.compile(r"(?i)authorization|cookie|passw|secret|token|api[-_]?key|access[-_]?key")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _path(written: str) -> str:
    try:
        JsonPath.of(written)
    except NoPath as error:
        raise ValueError(str(error)) from None
    return written


def _no_secret_in_clear(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if _SECRET_NAME.search(name) and "${" not in str(value):
            words = f"a credential reference as the value of '{name}': ${{NAME}}"
            raise PydanticCustomError("clear_text_secret", "{words}", {"words": words})
    return given


def _names_of_headers(given: dict[str, str]) -> dict[str, str]:
    for name in given:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"names of headers, which '{name}' is not")
    return _no_secret_in_clear(given)


def _type_alone(written: Any) -> Any:
    return {"type": written} if isinstance(written, str) else written


Path = Annotated[str, AfterValidator(_path)]
"""The place of a value in an answer: `meta.next`, `$.data[-1].id` or `/meta/next`."""
Scalar = str | int | float | bool
Params = Annotated[dict[str, Scalar | list[Scalar]], AfterValidator(_no_secret_in_clear)]


class Bearer(Options):
    """Sends a token in the header `Authorization`."""

    type: Literal["bearer"]
    token: SecretRef = Field(description="A credential reference.")


class Basic(Options):
    """Sends user and password in the header `Authorization`."""

    type: Literal["basic"]
    username: str = Field(description="The user, or a credential reference.")
    password: SecretRef = Field(description="A credential reference.")


class ApiKey(Options):
    """Sends a key in a header or in the query."""

    type: Literal["api_key"]
    name: str = Field("X-API-Key", description="The header or the parameter that carries the key.")
    api_key: SecretRef = Field(description="A credential reference.")
    location: Literal["header", "query"] = Field("header", description="`header` or `query`.")


class ClientCredentials(Options):
    """Fetches a token by the OAuth 2 grant `client_credentials` (RFC 6749), and renews it before it expires."""

    type: Literal["oauth2_client_credentials"]
    access_token_url: str = Field(pattern=r"^https?://", description="Where tokens are fetched.")
    client_id: str = Field(description="The client, or a credential reference.")
    client_secret: SecretRef = Field(description="A credential reference.")
    scopes: list[str] = Field([], description="The scopes that are asked for.")
    access_token_request_data: Params = Field(
        default_factory=dict, description="Further fields of the request for a token, e.g. `audience`."
    )
    client_location: Literal["header", "body"] = Field(
        "header", description="Whether client and secret are sent in the header `Authorization` or in the body."
    )
    default_token_expiration: float = Field(
        3600, gt=0, description="Seconds that a token is used for where the answer does not say it."
    )


Auth = Annotated[Bearer | Basic | ApiKey | ClientCredentials, Field(discriminator="type")]


class LinkPages(Options):
    """Follows the header `Link` with `rel="next"` (RFC 8288), or the next address in the body."""

    type: Literal["link"]
    next_url_path: Path | None = Field(
        None, description="Where the next address stands in the body. Default: the header `Link`."
    )


class CursorPages(Options):
    """Sends the cursor of an answer with the request for the next page."""

    type: Literal["cursor"]
    cursor_path: Path | None = Field(
        None, description="Where the cursor stands in the body: `meta.next`, `data[-1].id`."
    )
    cursor_header: str | None = Field(None, description="The header of the answer that holds it, e.g. `ETag`.")
    cursor_param: str = Field("cursor", description="The parameter, or the header, that carries it.")
    location: Literal["query", "body", "header"] = Field("query", description="`query`, `body` or `header`.")
    has_more_path: Path | None = Field(None, description="Where the body says whether another page follows.")

    @model_validator(mode="after")
    def _stands_in_one_place(self) -> Self:
        if (self.cursor_path is None) == (self.cursor_header is None):
            raise ValueError("`cursor_path` or `cursor_header`, where an answer has the cursor")
        names = [self.cursor_header, self.cursor_param if self.location == "header" else None]
        for name in filter(None, names):
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"names of headers, which '{name}' is not")
        return self


class NumberedPages(Options):
    """Says how to ask for pages by their number."""

    type: Literal["page"]
    page_param: str = Field("page", description="The parameter that carries the number.")
    base_page: int = Field(1, ge=0, description="The number of the first page.")
    size_param: str | None = Field(None, description="The parameter that carries the size of a page.")
    size: int = Field(100, ge=1, description="The size that `size_param` asks for.")
    location: Literal["query", "body"] = Field("query", description="`query` or `body`.")
    total_pages_path: Path | None = Field(None, description="Where the body says how many pages there are.")
    total_path: Path | None = Field(None, description="Where the body says how many records there are.")
    has_more_path: Path | None = Field(None, description="Where the body says whether another page follows.")


class OffsetPages(Options):
    """Skips as many records as were read."""

    type: Literal["offset"]
    offset_param: str = Field("offset", description="The parameter that says how many records are skipped.")
    limit_param: str = Field("limit", description="The parameter that carries the size of a page.")
    limit: int = Field(100, ge=1, description="The size that is asked for.")
    location: Literal["query", "body"] = Field("query", description="`query` or `body`.")
    total_path: Path | None = Field(None, description="Where the body says how many records there are.")
    has_more_path: Path | None = Field(None, description="Where the body says whether another page follows.")


class SinglePage(Options):
    """Asks once: one answer holds all records."""

    type: Literal["single_page"]


Pagination = Annotated[LinkPages | CursorPages | NumberedPages | OffsetPages | SinglePage, Field(discriminator="type")]


class LongPoll(Options):
    """Says how a server lets a request wait until it has something new."""

    wait: Limit = Field("30s", description="How long the server lets a request wait, at most.")
    wait_param: str | None = Field(None, min_length=1, description="The parameter that tells the server so.")
    wait_unit: Literal["seconds", "milliseconds"] = Field(
        "seconds", description="`seconds` or `milliseconds`, in which `wait_param` counts."
    )
    id_field: str | None = Field(
        None,
        min_length=1,
        description="The field of a record that identifies it, so that one which comes again is left out. Needed where "
        "answers have records again: those of the cursor itself, or all.",
    )
    dedup_window: Duration = Field("7d", description="How long records are known by `id_field`.")


class RestTimeouts(Options):
    """Holds the seconds until a server is given up on."""

    connect: float = Field(5.0, gt=0, description="A connection.")
    read: float = Field(30.0, gt=0, description="The time without a byte of the answer.")
    total: float = Field(120.0, gt=0, description="One request with its answer.")


class RequestOptions(Options):
    """Holds what requests of sources and of destinations have in common."""

    params: Params = Field(
        default_factory=dict, description="Parameters of the query. `{{ name }}` is a parameter of the run."
    )
    headers: Annotated[dict[str, str], AfterValidator(_names_of_headers)] = Field(
        default_factory=dict, description="Headers. Credentials in them are references: `${NAME}`."
    )
    auth: Annotated[Auth | None, BeforeValidator(_type_alone)] = Field(
        None, description="`bearer`, `basic`, `api_key` or `oauth2_client_credentials`."
    )
    rate_limit: float | None = Field(None, gt=0, description="Requests per second, at most, of each process.")
    attempts: int = Field(5, ge=1, le=20, description="Tries of a request, with growing pauses between.")
    timeouts: RestTimeouts = Field(default_factory=RestTimeouts, description="In seconds.")
    allowed_hosts: list[str] = Field(
        [],
        description="Other hosts that redirections and next links may lead to. No credential is sent there.",
    )


class RestSourceOptions(RequestOptions):
    """Holds settings of a REST source."""

    method: Literal["GET", "POST"] = Field("GET", description="`GET`, or `POST` for APIs that search so.")
    body: dict[str, Any] | None = Field(None, description="The JSON body of a `POST`.")
    records: Path | None = Field(
        None,
        description="Where the list of records stands in an answer: `data.items`. Default: the answer is the list.",
    )
    missing_records: Literal["error", "empty"] = Field(
        "error", description="`empty`: an answer without the list has no records, as some APIs mean it."
    )
    pagination: Annotated[Pagination, BeforeValidator(_type_alone)] = Field(
        SinglePage(type="single_page"), description="`link`, `cursor`, `page`, `offset` or `single_page`."
    )
    start_param: str | None = Field(
        None, description="The parameter that carries the mark of `extract.incremental`, e.g. `updated_since`."
    )
    start_format: str | None = Field(
        None, description="How a time is written there, e.g. `%Y-%m-%d`. Default: ISO 8601 in UTC."
    )
    max_page_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="The largest answer that is read.")
    long_poll: LongPoll | None = Field(
        None, description="In a stream: the server is asked again and again, with the cursor of its last answer."
    )

    @field_validator("body")
    @classmethod
    def _secrets_by_reference(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else _no_secret_in_clear(value)

    @model_validator(mode="after")
    def _polled_by_a_cursor(self) -> Self:
        if self.long_poll is None:
            return self
        if not isinstance(self.pagination, LinkPages | CursorPages):
            raise ValueError("`pagination` of the type `link` or `cursor` beside `long_poll`: what follows an answer")
        if getattr(self.pagination, "has_more_path", None) is not None:
            raise ValueError("no `has_more_path` beside `long_poll`, whose answers have no end")
        return self

    @model_validator(mode="after")
    def _body_is_posted(self) -> Self:
        in_body = getattr(self.pagination, "location", None) == "body"
        if self.method == "GET" and (self.body is not None or in_body):
            raise ValueError("`method: POST` where something is sent in the body")
        for name in ("cursor_param", "page_param", "size_param", "offset_param", "limit_param") if in_body else ():
            _path(getattr(self.pagination, name, None) or "")
        return self


class RestLookupOptions(RequestOptions):
    """Holds settings of an API that records are looked up in."""

    concurrency: int = Field(8, ge=1, le=64, description="Requests at once, at most, of each batch.")
    max_answer_bytes: int = Field(1024 * 1024, ge=1024, description="The largest answer that is read.")


class ItemResults(Options):
    """Says where the answer to a batch tells what became of each record, in the order of the records."""

    records: Path = Field(description="Where the list stands: `results`.")
    status: Path = Field("status", description="Where an item has its status: a number as in HTTP.")
    reason: Path = Field("error", description="Where an item says why it was refused.")


class RestDestinationOptions(RequestOptions):
    """Holds settings of a REST destination."""

    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="`POST`, `PUT` or `PATCH`.")
    batch: StrictBool | Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        False, description="`true`: a batch in one request, as a list; a number: so many records in one."
    )
    wrap: str | None = Field(None, description="The key under which the record, or the list, stands in the body.")
    idempotency_key: str | None = Field(
        "Idempotency-Key",
        description="The header that carries the key of a request, the same at each try. `null`: none is sent.",
    )
    results: ItemResults | None = Field(
        None, description="Where the answer to a batch says what became of each record."
    )
    concurrency: int = Field(4, ge=1, le=64, description="Requests at once, at most, of each batch.")

    @property
    def at_once(self) -> int | None:
        """Return how many records a request carries in a list; 0 for a whole batch, None for one without a list."""
        if self.batch is True:
            return 0
        return None if self.batch is False else self.batch
