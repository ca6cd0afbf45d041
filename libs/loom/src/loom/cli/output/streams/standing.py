"""Shows how far a stream has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Column, print_rows

if TYPE_CHECKING:
    from loom_coordinator.queries.streams.shown import ShownStream
    from loom_coordinator.queries.streams.versions import ShownCanary

WHY = "because its budget of the day is spent"


def show(stream: ShownStream, form: Format) -> None:
    """Print the state of a stream on stdout."""
    if form is Format.JSON:
        terminal.print_json(stream.as_json())
        return
    dot = terminal.symbols(terminal.stdout()).dot
    heard = "none yet" if stream.heard_at is None else f"{terminal.moment(stream.heard_at)} (UTC)"
    for words in (
        f"{stream.pipeline} {dot} {stream.stream_id}: {stream.status}",
        f"  source       {stream.source}",
        f"  windows      {terminal.count(stream.windows)}",
        f"  records      {terminal.count(stream.records)}, of which {terminal.count(stream.passed)} passed",
        f"  cost         {terminal.money(stream.cost)}",
        f"  last record  {heard}",
        *(() if stream.begins_at is None else (f"  next window  begins at {stream.begins_at}",)),
        *(() if stream.resumes_at is None else (f"  goes on at   {terminal.moment(stream.resumes_at)} (UTC), {WHY}",)),
    ):
        _say(words)
    if stream.canary is not None:
        _show_canary(stream.canary, form)
    if stream.decided is not None:
        _say(f"  decided      {terminal.moment(stream.decided.at)} (UTC): {stream.decided.words}")
    columns = [
        Column("run_id", "window", keep=True),
        Column("status", "status", keep=True),
        Column("started_at", "first record (UTC)", terminal.moment, keep=True),
        Column("records_processed", "records", terminal.count, number=True, optional=True),
        Column("records_validated", "passed", terminal.count, number=True, optional=True),
        Column("cost_total", "cost", terminal.money, number=True, optional=True),
    ]
    print_rows(stream.newest, columns, form, "It has no window yet.")


def _show_canary(canary: ShownCanary, form: Format) -> None:
    _say(f"  on trial     {_share(canary.share)} of the records, from window {canary.since} on")
    if canary.waits_for is not None:
        _say(f"  its rule     {canary.waits_for}")
    columns = [
        Column("role", "version", keep=True),
        Column("version", "number", keep=True),
        Column("records", "records", terminal.count, number=True, keep=True),
        Column("failure_share", "kept back", _share, number=True, keep=True),
        Column("score", "mean score", _score, number=True, optional=True),
        Column("latency_p50", "p50", terminal.latency, number=True, optional=True),
        Column("latency_p95", "p95", terminal.latency, number=True, optional=True),
        Column("cost_per_record", "cost/record", terminal.money, number=True, optional=True),
    ]
    print_rows(canary.versions, columns, form, "")


def _say(words: str) -> None:
    terminal.stdout().print(words, markup=False, highlight=False, soft_wrap=True)


def _share(share: float | None) -> str:
    return terminal.count(None) if share is None else f"{100 * share:.3g}%"


def _score(score: float | None) -> str:
    return terminal.count(None) if score is None else f"{score:.3f}"
