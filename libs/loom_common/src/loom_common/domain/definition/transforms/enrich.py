"""Defines the transform of type `enrich`: each record is looked up elsewhere, and gets the fields that are found."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.section import Location, Mistake, Section, WebLocation, mistake, said
from loom_common.domain.steps.lookups import key_fields, named_in, place_of, strange_in, wanted_fields
from loom_common.domain.values.durations import Limit, seconds
from loom_common.domain.values.urls import redacted


class LookupCache(Section):
    """Says how much of what was found is kept in memory, and for how long."""

    entries: int = Field(
        10_000, ge=0, le=1_000_000, description="How many keys each process remembers at most; 0 for none."
    )
    ttl: Limit = Field("10m", description="How long an answer is used: `30s`, `10m`, `12h`.")

    @property
    def seconds(self) -> float:
        """Return how long an answer is used."""
        return seconds(self.ttl)


class EnrichTransformConfig(TransformConfig):
    """Looks each record up in a table or an API, and adds the fields that are found."""

    type: Literal["enrich"]
    source: Location | None = Field(
        None,
        description="A SQL system, with `?table=name` or beside a `query`: `postgresql://${DATABASE}/crm?table=customers`.",
    )
    query: str | None = Field(
        None, min_length=1, description="What is looked through in place of a table. `{{ name }}` is a parameter."
    )
    by: str | list[str] | dict[str, str] | None = Field(
        None,
        description="By which fields rows are found: `{customer: id}` finds the row whose column `id` has the value of "
        "the record's field `customer`. `id` is short for `{id: id}`.",
    )
    url: WebLocation | None = Field(
        None,
        description="Instead of `source`: an API, asked with GET: `https://api.example.com/users/{{ input.user }}`.",
    )
    record: str | None = Field(
        None,
        min_length=1,
        description="Where the record stands in the answer of an API: `data.items`. A list of one item is that item. "
        "Default: the answer.",
    )
    fields: list[str] | dict[str, str] = Field(
        min_length=1,
        description="What is added: columns, or by the name of a new field the column, or the path in the answer of an "
        "API: `{segment: data.segment}`.",
    )
    missing: Literal["fail", "null", "skip"] = Field(
        "fail",
        description="What becomes of a record for which nothing is found: `fail` as `on_failure` says, `null` gives it "
        "fields that are null, `skip` leaves it out.",
    )
    cache: LookupCache = Field(
        default_factory=lambda: LookupCache(entries=10_000, ttl="10m"), description="What is remembered, and how long."
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Those of the connector, such as `timeouts`; of an API `auth`, `headers`, `params`, `rate_limit`, "
        "`attempts` and `concurrency`.",
    )

    @property
    def made_by(self) -> str | None:
        return redacted(place_of(self) or "")

    @cached_property
    def wanted(self) -> Mapping[str, str]:
        """Return by each new field the column, or the path in the answer, that it holds."""
        return wanted_fields(self)

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """Return the fields of a record by which it is looked up, each with its column; of an API with itself."""
        return key_fields(self) if self.url is None else {name: name for name in named_in(self.url)}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Records are looked up in one place, by at least one field."""
        yield from TransformConfig.mistakes(written)
        source, url = said(written, "source"), said(written, "url")
        if (source is None) == (url is None):
            expected = "one of `source` and `url`, which says where records are looked up"
            yield mistake((), "missing_for_type", expected, written)
        if source is not None and not key_fields(written):
            expected = "the fields by which rows are found: `by: {customer: id}`"
            yield mistake(("by",), "missing_for_type", expected, said(written, "by"))
        for key in ("query", "by") if url is not None and source is None else ():
            if said(written, key) is not None:
                expected = f"no `{key}` beside `url`, which names the fields itself"
                yield mistake((key,), "strange_for_type", expected, said(written, key))
        if url is None and said(written, "record") is not None:
            yield mistake(("record",), "strange_for_type", "no `record` without `url`", said(written, "record"))
        if isinstance(url, str):
            yield from _url_mistakes(url)
        if said(written, "calibration") is not None:
            expected = "no `calibration` in a transform of type enrich, which states no confidence"
            yield mistake(("calibration",), "strange_for_type", expected, said(written, "calibration"))
        declared = said(written, "output")
        if declared is not None and not isinstance(declared, Mapping):
            yield mistake(("output",), "strange_for_type", "the types of `fields`: `{segment: string}`", declared)


def _url_mistakes(url: str) -> Iterator[Mistake]:
    if not named_in(url):
        expected = "an address that names a field of the record: `https://api.example.com/users/{{ input.user }}`"
        yield mistake(("url",), "lookup_url", expected, url)
    for found in strange_in(url):
        yield mistake(("url",), "lookup_url", "nothing but `{{ input.FIELD }}` in braces", found)
    if "{{" in url.partition("://")[2].partition("/")[0]:
        yield mistake(("url",), "lookup_url", "a host that no record decides", url)
