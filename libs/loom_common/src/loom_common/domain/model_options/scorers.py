"""Defines the keys that say how a scorer is run: how many texts at once, in which processes, or at which server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Mistake, SecretRef, Section, mistake, said
from loom_common.domain.values.durations import Limit
from loom_common.domain.values.urls import clear_text_password

_SIZE = re.compile(r"^(\d+(?:\.\d+)?) ?(MB|GB)$")
_UNIT_BYTES = {"MB": 1024**2, "GB": 1024**3}
TEXTS = 32
"""The number of texts that a scorer is given at once where the pipeline does not say it."""


def size_in_bytes(text: str) -> int:
    """Return the bytes of a size of memory: `512MB`, `2GB`."""
    match = _SIZE.match(text)
    assert match is not None, text
    return int(float(match[1]) * _UNIT_BYTES[match[2]])


def _readable(value: str) -> str:
    if not _SIZE.match(value) or not size_in_bytes(value):
        raise PydanticCustomError("memory_size", "a number above zero and a unit: 512MB or 2GB")
    return value


MemorySize = Annotated[str, AfterValidator(_readable)]
"""A size of memory above zero. A megabyte is 1,048,576 bytes."""


class ScorerBatch(Section):
    """Says how many texts a scorer is given at once. The short form is the number."""

    size: int = Field(TEXTS, ge=1, le=10_000, description="The texts of one call, at most.")
    wait: Limit | None = Field(
        None,
        description="`50ms`: how long fewer texts wait for those of other batches of records. Default: they do not.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"size": written} if isinstance(written, int) and not isinstance(written, bool) else written


class ScorerOptions(Section):
    """Says how a scorer is run."""

    batch: ScorerBatch | None = Field(
        None,
        description="`{size: 32}`: how many texts a scorer is given at once that has a method `score(texts)`, at most. "
        "Default: 32.",
    )
    instances: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] | None = Field(
        None,
        description="How many processes of each worker load the scorer, and score at the same time; `auto` is one for "
        "each processor. Default: it is loaded in the worker's own process.",
    )
    memory: MemorySize | None = Field(
        None, description="`2GB`: what each process may hold. One that grows beyond is replaced. Needs `instances`."
    )
    warm_up: str | None = Field(
        None, min_length=1, description="A text that is scored after the scorer was loaded, before its first records."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference: the key of a scorer that is a URL, sent as a bearer token."
    )


def is_server(scorer: Any) -> bool:
    """Tell whether a scorer is a model server, named by its URL."""
    return isinstance(scorer, str) and scorer.startswith(("http://", "https://"))


def scorer_fits(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Processes have a memory, and a server has a key; neither has the other."""
    scorer = said(written, "scorer")
    if is_server(scorer):
        if clear_text_password(scorer):
            words = "an address without a password: name the key of the server in `api_key: ${NAME}`"
            yield mistake(("scorer",), "clear_text_password", words)
        for key in ("instances", "memory", "warm_up"):
            if (value := said(written, key)) is not None:
                words = f"no `{key}` with a scorer that is a URL: its server decides it"
                yield mistake((key,), "strange_for_type", words, value)
        return
    if said(written, "api_key") is not None:
        yield mistake(("api_key",), "strange_for_type", "no `api_key` with a scorer that is no URL", "a reference")
    if (memory := said(written, "memory")) is not None and said(written, "instances") is None:
        words = "`instances` besides: a scorer has a memory of its own only in processes of its own"
        yield mistake(("memory",), "strange_for_type", words, memory)
