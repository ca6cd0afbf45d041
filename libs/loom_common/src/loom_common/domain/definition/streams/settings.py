"""Defines the settings of pipelines that never end, and what does not fit a pipeline that does not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.streams.api_source import is_api_source
from loom_common.domain.definition.streams.ordering import ordering_mistakes
from loom_common.domain.section import Mistake, Section, mistake, said
from loom_common.domain.values import durations
from loom_common.domain.values.durations import Limit

Mode = Literal["batch", "streaming"]
DEFAULT_SIZE = 100
LARGEST = 10_000
"""The most records of a batch."""


class WindowConfig(Section):
    """Says when a window of a stream closes: at the first of both. The short form is `every`."""

    every: Limit = Field("5m", description="It closes so long after its first record.")
    records: int = Field(10_000, ge=1, le=10_000_000, description="It closes after so many records.")
    keep_scores: Limit | None = Field(
        None,
        description="The scores and answers of single records are removed so long after their window has ended, as in "
        "`30d`; what they come to for each window stays. Without it they stay, too.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"every": written} if isinstance(written, str) else written


class StreamBatchConfig(Section):
    """Says how records of a stream are put together in batches."""

    size: int = Field(DEFAULT_SIZE, ge=1, le=LARGEST, description="Records per batch, at most.")
    wait: Limit = Field("200ms", description="A record waits so long for others, at most.")


@dataclass(frozen=True, slots=True)
class Pace:
    """Says how records of a stream are waited for."""

    wait_seconds: float
    """The most that a record waits for others."""
    size: int
    """The number of records that go on without waiting for more."""
    poll_seconds: float | None
    """The pause between two looks at a source that tells nobody of new records; None for what is usual for it."""
    alone: bool = True
    """Tells whether one process alone reads the stream. On a cluster any extractor may be asked for the next slice, so
    that none holds records which it was not asked for."""


def completed(written: Any) -> Any:
    """Return a pipeline as written, with the size of a stream's batches where sources are told of it, unless it is a
    mistake: that is told where it is written."""
    if not isinstance(written, Mapping) or said(written, "mode") != "streaming":
        return written
    extract, size = said(written, "extract"), said(said(written, "batch"), "size")
    usable = isinstance(size, int) and 1 <= size <= LARGEST
    if not usable or not isinstance(extract, Mapping) or "batch_size" in extract:
        return written
    return {**written, "extract": {**extract, "batch_size": size}}


def streaming_mistakes(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what a pipeline says of a stream that is none, and what a stream cannot do."""
    yield from ordering_mistakes(written)
    if said(written, "mode") != "streaming":
        yield from _of_no_stream(written)
        return
    yield from _of_the_source(written)
    why = "because each window of a stream adds to those before it"
    load = said(written, "load")
    if load is not None and said(load, "mode") is None:
        yield mistake(("load",), "missing_for_type", f"`mode: append` or `mode: upsert`, {why}", load)
    elif said(load, "mode") == "replace":
        yield mistake(("load", "mode"), "strange_for_type", f"`append` or `upsert`, {why}", "replace")
    if said(written, "spawn"):
        expected = "nothing in a stream, whose windows end again and again; a schedule runs what reads them"
        yield mistake(("spawn",), "strange_for_type", expected, said(written, "spawn"))
    yield from _of_batches(written)


def _of_batches(written: Mapping[str, Any]) -> Iterator[Mistake]:
    for section in ("transform", "evaluate"):
        execution = said(said(written, section), "execution")
        if execution == "batch" or said(execution, "type") == "batch":
            expected = "`direct` in a stream: a batch of a provider is answered after hours"
            yield mistake((section, "execution"), "strange_for_type", expected, execution)


def _of_no_stream(written: Mapping[str, Any]) -> Iterator[Mistake]:
    extract = said(written, "extract")
    for key in ("window", "batch", "canary"):
        if said(written, key) is not None:
            expected = "nothing here without `mode: streaming`: a run over a whole source has no windows"
            yield mistake((key,), "strange_for_type", expected, said(written, key))
    for key in ("poll", "settle", "lag"):
        if said(extract, key) is not None:
            expected = "nothing here without `mode: streaming`: a run over a whole source looks at it once"
            yield mistake(("extract", key), "strange_for_type", expected, said(extract, key))
    if (polled := said(said(extract, "options"), "long_poll")) is not None:
        expected = "nothing here without `mode: streaming`: a run over a whole source asks for it once"
        yield mistake(("extract", "options", "long_poll"), "strange_for_type", expected, polled)
    if (of_day := said(said(written, "monitoring"), "cost_budget_per_day")) is not None:
        expected = "nothing here without `mode: streaming`: `cost_budget` is what one run may cost"
        yield mistake(("monitoring", "cost_budget_per_day"), "strange_for_type", expected, of_day)
    source = said(extract, "source")
    if isinstance(source, str) and is_api_source(source):
        expected = (
            "another source, or `mode: streaming` beside it: records can be given to any pipeline over HTTP, and "
            "a run of one that is none reads them in place of its source"
        )
        yield mistake(("extract", "source"), "strange_for_type", expected, source)


def _of_the_source(written: Mapping[str, Any]) -> Iterator[Mistake]:
    extract = said(written, "extract")
    size, written_size = said(said(written, "batch"), "size"), said(extract, "batch_size")
    if size is not None and written_size not in (None, size):
        expected = f"nothing, or {size} as in `batch.size`, which says it for a stream"
        yield mistake(("extract", "batch_size"), "strange_for_type", expected, written_size)
    if said(extract, "partitions") not in (None, 1, "auto"):
        expected = "nothing, or 1: a stream is read in one place"
        yield mistake(("extract", "partitions"), "strange_for_type", expected, said(extract, "partitions"))


def seconds_of(window: WindowConfig) -> float:
    """Return the seconds after which a window closes."""
    return durations.seconds(window.every)


def score_seconds_of(window: WindowConfig) -> float | None:
    """Return the seconds for which the scores of single records are kept after their window has ended; None for
    always."""
    return None if window.keep_scores is None else durations.seconds(window.keep_scores)
