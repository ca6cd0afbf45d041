"""Defines the step `join`, which matches each record with a row of another source."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from loom_common.domain.embedding_model import EmbeddingConfig
from loom_common.domain.section import Location, Mistake, items, mistake, said
from loom_common.domain.steps.asking import JOIN, ONLY_WITH_A_MODEL, AskingKeys

__all__ = ["JOIN", "JoinStep", "compared_pairs", "join_steps", "joined_fields"]


MOST_VECTORS = 100_000
"""The most rows that are compared by vectors: at 1,536 numbers of 32 bits each, these take 600 MB."""


class JoinStep(AskingKeys):
    """Adds to each record fields of the row of another source that matches it: the one with the same key, or the one
    that a model chooses of those which share most words with the record, or one found by the vectors of their texts.
    The other source is read once for a run."""

    type: Literal["join"]
    source: Location = Field(description="The other source, written as `extract.source`.")
    query: str | None = Field(None, description="SQL, where the other source is a database; as `extract.query`.")
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the other source's connector.")
    on: dict[str, str] | None = Field(
        None,
        min_length=1,
        description="By the field of the record the column of the other source that has the same value, as text: "
        "`{vendor_id: id}`. With a `model`, all rows with the same values are candidates.",
    )
    alike: dict[str, str] | None = Field(
        None,
        min_length=1,
        description="Instead: the fields and columns whose words are compared. Candidates are the rows that share most "
        "words with the record, rare ones first.",
    )
    embedding: EmbeddingConfig | None = Field(
        None,
        description="The model by whose vectors of texts the rows of `alike` are found, in place of their words: "
        "`openai:text-embedding-3-small`. It finds rows that mean the same in other words.",
    )
    similarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How alike the vectors of the record and of a row are at least, as the cosine of the angle between "
        "them; less alike rows are no candidates. Without a `model`, the nearest row that is so alike matches.",
    )
    candidates: int = Field(5, ge=1, le=50, description="How many rows a model chooses from at most.")
    fields: dict[str, str] = Field(
        min_length=1,
        description="What is added of the row: `[country, rating]`, or by the name of the new field the column: "
        "`{vendor_country: country}`.",
    )
    prefix: str = Field("", description="What the names of the new fields begin with.")
    missing: Literal["null", "skip", "fail"] = Field(
        "null",
        description="What becomes of a record that no row matches: its new fields are null, it is dropped and counted "
        "as filtered (`skip`), or it fails (`no_match`).",
    )
    several: Literal["fail", "first"] = Field(
        "fail",
        description="Without a model: what becomes of a record that several rows match. It fails (`several_matches`), "
        "or the first row in the order of the source counts.",
    )
    max_rows: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="How many rows the other source has at most. With more, a run fails. With an `embedding` it is "
        "100,000 at most, as each worker holds the vectors of all rows.",
    )

    @property
    def most_rows(self) -> int:
        """Return how many rows the other source has at most."""
        return self.max_rows if self.embedding is None else min(self.max_rows, MOST_VECTORS)

    @property
    def columns(self) -> dict[str, str]:
        """Return by the name of a new field the column of the other source."""
        return joined_fields(self)

    @field_validator("fields", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return {name: name for name in value} if isinstance(value, list) else value

    @field_validator("on", "alike", mode="before")
    @classmethod
    def _same_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: value}
        return {name: name for name in value} if isinstance(value, list) else value

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """Take `missing: null` for the text `null`."""
        return (
            {**written, "missing": "null"}
            if isinstance(written, Mapping) and written.get("missing", "") is None
            else written
        )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Rows are found by keys or by words; the words alone decide nothing."""
        has_model = said(written, "model") is not None
        if (said(written, "on") is None) == (said(written, "alike") is None):
            expected = "one of `on` and `alike`, which says by what rows are found"
            yield mistake((), "missing_for_type", expected, written)
        elif said(written, "alike") is not None and not has_model:
            yield from _undecided(written)
        for key in ("embedding", "similarity"):
            if said(written, key) is not None and said(written, "alike" if key == "embedding" else "embedding") is None:
                needed = "`alike`, which says what is compared" if key == "embedding" else "an `embedding`"
                yield mistake((key,), "strange_for_type", f"no `{key}` without {needed}", said(written, key))
        for key in ONLY_WITH_A_MODEL if not has_model else ():
            if said(written, key):
                yield mistake((key,), "strange_for_type", f"no `{key}` without a `model`", said(written, key))
        if has_model and said(written, "several") == "first":
            expected = "no `several` beside a `model`, which chooses one of several rows"
            yield mistake(("several",), "strange_for_type", expected, said(written, "several"))


def _undecided(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield the mistake of a step in which nothing decides whether a candidate matches."""
    if said(written, "embedding") is None:
        expected = "`model` beside `alike`, which decides whether a row that shares words with a record matches it"
        yield mistake((), "missing_for_type", expected, written)
    elif said(written, "similarity") is None:
        expected = "`similarity`, which says how alike a row is that matches; or a `model`, which decides that"
        yield mistake((), "missing_for_type", expected, written)


def join_steps(pipeline: Any) -> list[JoinStep]:
    """Return the steps of a pipeline that join."""
    return [step for step in items(said(pipeline, "transform"), "steps") if isinstance(step, JoinStep)]


def joined_fields(step: Any) -> dict[str, str]:
    """Return by the name of a new field the column of the other source, of a step as written or as a model."""
    fields, prefix = said(step, "fields"), said(step, "prefix")
    start = prefix if isinstance(prefix, str) else ""
    if isinstance(fields, Mapping):
        return {f"{start}{name}": str(column) for name, column in fields.items()}
    return {f"{start}{name}": str(name) for name in items(step, "fields")}


def compared_pairs(step: Any) -> list[tuple[str, str, str]]:
    """Return the key of the step with the field of the record and the column that it compares, of a step as written or
    as a model."""
    found: list[tuple[str, str, str]] = []
    for key in ("on", "alike"):
        value = said(step, key)
        if isinstance(value, Mapping):
            found += [(key, str(field), str(column)) for field, column in value.items()]
        names = [value] if isinstance(value, str) else items(step, key)
        found += [(key, str(name), str(name)) for name in names]
    return found
