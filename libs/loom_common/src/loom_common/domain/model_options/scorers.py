"""Defines the keys that say how a scorer is run: how many texts at once, in which processes, or at which server."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
ONNX = "onnx"
"""Names, as the `type` of a scorer, what a path that ends in `.onnx` is anyway."""
LABEL = "label"
"""Names the output field that holds the class of a text where the pipeline does not say it."""
OF_VADER: Mapping[str, Mapping[str, Any]] = {
    "sentiment": {"enum": ["positive", "negative", "neutral"]},
    "confidence": {"type": "number"},
    "compound": {"type": "number"},
}
"""Holds the fields of what the scorer `vader` says of a text, with the JSON Schema of each."""


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


class ClassifierOptions(Section):
    """Says what the outputs of a text classifier in an ONNX file mean, for one that is named as the scorer."""

    labels: list[str] | None = Field(
        None,
        min_length=1,
        description="The classes of a scorer that is an ONNX file, in the order of its outputs. Default: those that "
        "it, or `config.json` beside it, names.",
    )
    into: str | None = Field(
        None, min_length=1, description="The output field that holds the class of an ONNX file. Default: `label`."
    )

    @property
    def classifier(self) -> "Classifier":
        """Return these settings as a value that can be compared and sent."""
        return Classifier(None if self.labels is None else tuple(self.labels), self.into or LABEL)


@dataclass(frozen=True, slots=True)
class Classifier:
    """Says what the outputs of a text classifier mean."""

    labels: tuple[str, ...] | None = None
    """The classes in the order of the outputs; None for those that its files name."""
    into: str = LABEL


class ScorerOptions(ClassifierOptions):
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


def with_scorer_named(written: Any) -> Any:
    """Return a section whose scorer is its name, where it is written as `{name: ..., instances: 2}`, `{url: ...}` or
    `{type: onnx, model: ...}`: with what stands beneath the name beside it."""
    scorer = said(written, "scorer")
    if not isinstance(scorer, Mapping) or said(scorer, "type") not in (None, ONNX):
        return written
    named = next((key for key in ("name", "url", "model") if key in scorer), None)
    beneath = {key: value for key, value in scorer.items() if key not in (named, "type")}
    return {**written, **beneath, "scorer": None if named is None else scorer[named]}


def is_server(scorer: Any) -> bool:
    """Tell whether a scorer is a model server, named by its URL."""
    return isinstance(scorer, str) and scorer.startswith(("http://", "https://"))


def is_onnx(scorer: Any) -> bool:
    """Tell whether a scorer is a file in the ONNX format, named by its path."""
    return isinstance(scorer, str) and scorer.lower().endswith(".onnx") and not is_server(scorer)


def fields_of(section: Any) -> Mapping[str, Mapping[str, Any]] | None:
    """Return the fields that the scorer of a section makes, with the JSON Schema of each; None where it is code, or a
    server. The section is a model, or as it is written."""
    section = with_scorer_named(section)
    scorer = said(section, "scorer")
    if scorer == "vader":
        return OF_VADER
    if not is_onnx(scorer):
        return None
    labels, into = said(section, "labels"), said(section, "into")
    of_class = {"enum": list(labels)} if isinstance(labels, list | tuple) else {"type": "string"}
    return {into if isinstance(into, str) else LABEL: of_class, "confidence": {"type": "number"}}


def classifier_fits(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Only a file has labels that Loom names, and no two of them are the same."""
    labels = said(written, "labels")
    if isinstance(labels, list) and len(set(map(str, labels))) < len(labels):
        yield mistake(("labels",), "labels_repeated", "each class once", labels)
    if is_onnx(said(written, "scorer")):
        if said(written, "into") == "confidence":
            yield mistake(("into",), "into_taken", "another name: `confidence` holds how sure it is", "confidence")
        return
    for key in ("labels", "into"):
        if (value := said(written, key)) is not None:
            expected = f"no `{key}` with a scorer that is no ONNX file (`.onnx`): it names its fields itself"
            yield mistake((key,), "strange_for_type", expected, value)


def scorer_fits(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Processes have a memory, a server has a key, and an ONNX file has labels; none has what another has."""
    scorer = said(written, "scorer")
    if isinstance(scorer, Mapping):
        words = f"`type: {ONNX}`, or no type: the scorer says by its name what it is"
        yield mistake(("scorer", "type"), "unknown_scorer_type", words, said(scorer, "type"))
    yield from classifier_fits(written)
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
