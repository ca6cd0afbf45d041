"""Defines options of model calls that Loom has no key of its own for: parameters, body fields and headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import orjson
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Section

_OWN_WORDS = {
    "temperature": "`temperature`",
    "max_tokens": "`max_tokens`",
    "max_completion_tokens": "`max_tokens`",
    "maxOutputTokens": "`max_tokens`",
    "model": "`model`",
    "response_format": "`output`",
    "responseSchema": "`output`",
    "responseMimeType": "`output`",
}
"""Parameters that have a key of their own in the pipeline file, and that key."""
_NEVER = frozenset(
    """messages contents system systemInstruction stream stream_options n candidateCount candidate_count tools
    tool_choice toolConfig functions function_call""".split()  # noqa: SIM905 - reads better than fifteen quotes
)
"""Fields that Loom sets itself: with another value it could not read the answer, or would pay for one that it drops."""
_HEADERS_OF_ITS_OWN = frozenset(
    "host content-length content-type content-encoding accept-encoding transfer-encoding connection".split()  # noqa: SIM905
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{[^}]+\}")


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name in _OWN_WORDS:
            raise PydanticCustomError(
                "strange_for_type", "no `{name}` here: it is said with {key}", {"name": name, "key": _OWN_WORDS[name]}
            )
        if name in _NEVER:
            raise PydanticCustomError("strange_for_type", "no `{name}` here: Loom needs it itself", {"name": name})
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise PydanticCustomError("json", "values of JSON ({why})", {"why": str(error)}) from error
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER_NAME.match(name) or name.lower() in _HEADERS_OF_ITS_OWN:
            raise PydanticCustomError(
                "header", "names of HTTP headers other than those that Loom sets ({name})", {"name": name}
            )
        if _CONTROL.search(text) or not text.isascii():
            raise PydanticCustomError("header", "a value of ASCII characters for {name}", {"name": name})
        if _SECRET_NAME.search(name) and not _REFERENCE.search(text):
            raise PydanticCustomError(
                "clear_text_secret", "a credential reference in {name}: ${{NAME}} or ${{provider:name}}", {"name": name}
            )
    return value


Parameters = Annotated[dict[str, Any], AfterValidator(_parameters)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]


class CallOptions(Section):
    """Holds options that are added to model calls. `transform`, `evaluate` and each provider have these keys, and a
    stage's options override its provider's."""

    params: Parameters = Field(
        default_factory=dict,
        description="Parameters of the model, by the provider's names: `{top_p: 0.9, seed: 7, reasoning_effort: low}`.",
    )
    extra_body: Parameters = Field(
        default_factory=dict, description="Fields of the request's JSON, as they are: for gateways and local servers."
    )
    headers: Headers = Field(
        default_factory=dict, description="HTTP headers. Credentials in them are references: `${NAME}`."
    )

    @property
    def extras(self) -> "Extras":
        """Return the options as a value."""
        return Extras(self.params, self.extra_body, self.headers)


@dataclass(frozen=True, slots=True)
class Extras:
    """Holds the options that are added to a call. References in headers are not resolved."""

    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.params or self.body or self.headers)

    def __hash__(self) -> int:
        return hash(orjson.dumps(self.identity, option=orjson.OPT_SORT_KEYS))

    def outweighed_by(self, nearer: "Extras") -> Self:
        """Return these options, overridden by those of `nearer`."""
        return type(self)(
            {**self.params, **nearer.params}, {**self.body, **nearer.body}, {**self.headers, **nearer.headers}
        )

    @property
    def identity(self) -> list[object]:
        """Return JSON values that are equal for equal options only."""
        return [dict(self.params), dict(self.body), dict(self.headers)]


NOTHING_BESIDES = Extras()
