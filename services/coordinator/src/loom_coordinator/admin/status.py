"""Implements `loom-coordinator status`, which shows the fleet once, or again and again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from loom_common.domain.values.plural import counted
from loom_common.service.entry import interrupts_restored
from loom_coordinator.admin.shared.forms import Form, Format, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from loom_coordinator.queries.cluster import Overview, QueueLine, ReplicaLine


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Until Ctrl-C; with `json`, one document a line.")] = False,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="With `--watch`: how often to look.")] = "2s",
    replicas: Annotated[bool, typer.Option("--replicas", help="Also every single process.")] = False,
    form: Form = Format.TABLE,
) -> None:
    """Show services, replicas, prefetch limits, queues, rates, breakers, and what waits longest.

    Rates and times are over the last ten seconds, from the heartbeats that every replica sends each two seconds. The
    column in flight counts delivered, unacknowledged messages; retrying counts messages in the retry queues."""
    from loom_coordinator.admin.shared import output

    pause = seconds(every)
    if watch:
        with interrupts_restored(), contextlib.suppress(KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.default_int_handler)  # this is how one ends it, and no interruption
            asyncio.run(_watch(form, pause, replicas=replicas))
        return
    seen = asyncio.run(_once())
    if form is Format.JSON:
        output.document(seen.as_json())
    else:
        output.console().print(picture(seen, replicas=replicas), markup=False)


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[Callable[[], Awaitable[Overview]]]:
    """Lend a function that looks, over connections that stay."""
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker, now, state
    from loom_coordinator.db.unit_of_work import begin
    from loom_coordinator.queries.cluster import depths, overview, queues_of_steps

    settings = cluster_settings()
    async with state(settings) as engine, broker(settings) as bus:

        async def look() -> Overview:
            async with begin(engine, now(), None) as unit:
                of_steps = await queues_of_steps(unit.connection, unit.now)
            ready = await depths(bus, of_steps)
            async with begin(engine, now(), None) as unit:
                return await overview(unit.connection, unit.now, ready)

        yield look


async def _once() -> Overview:
    async with _opened() as look:
        return await look()


async def _watch(form: Format, pause: float, *, replicas: bool) -> None:
    """A broker or a database that goes away is told of, and looked for again."""
    from rich.live import Live
    from rich.text import Text

    from loom_common.errors import DependencyUnavailable
    from loom_coordinator.admin.shared import output

    console = output.console()
    picturing = form is Format.TABLE
    live = Live(console=console, auto_refresh=False, screen=console.is_terminal) if picturing else None
    async with _opened() as look:
        with live or contextlib.nullcontext():
            while True:
                try:
                    seen: Overview | None = await look()
                    away = ""
                except DependencyUnavailable as error:
                    seen, away = None, str(error)
                if live is None:
                    output.line(seen.as_json() if seen is not None else {"away": away})
                else:
                    live.update(picture(seen, replicas=replicas) if seen is not None else Text(away), refresh=True)
                await asyncio.sleep(pause)


def picture(seen: Overview, *, replicas: bool) -> RenderableType:
    """Draw what `overview` tells, for a terminal of 100 columns."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_queues(seen.queues), "", *map(Text, _notes(seen))]
    if replicas:
        parts += ["", _replicas(seen.replicas)]
    return Group(*parts)


def _queues(rows: Sequence[QueueLine]) -> RenderableType:
    from loom_common.console import numbers
    from loom_common.console.tables import Column, RowTable

    shown = [
        {
            **row.as_json(),
            "queue": row.queue.removeprefix("loom."),
            "replicas": f"{row.replicas}" + (f" (-{row.lost})" if row.lost else ""),
            "prefetch": _range(row.prefetch) + (" fixed" if row.by_hand else ""),
        }
        for row in rows
    ]
    columns = [
        Column("service", "service", keep=True, optional=True),
        Column("queue", "queue", keep=True),
        Column("replicas", "up", number=True, keep=True),
        Column("prefetch", "prefetch", number=True, keep=True),
        Column("ready", "ready", numbers.count, number=True, keep=True),
        Column("in_hand", "in flight", numbers.count, number=True, keep=True),
        Column("retrying", "retrying", numbers.count, number=True, keep=True),
        Column("handled_per_second", "msg/s", numbers.rate, number=True, keep=True),
        Column("seconds", "each", numbers.span, number=True, keep=True),
        Column("memory", "mem", numbers.share, number=True, keep=True),
    ]
    return RowTable(shown, columns)


def _replicas(rows: Sequence[ReplicaLine]) -> RenderableType:
    from loom_common.console import numbers
    from loom_common.console.tables import Column, RowTable

    shown = [{**row.as_json(), "prefetch": _range(sorted(set(row.prefetch.values())))} for row in rows]
    columns = [
        Column("service", "service", keep=True),
        Column("replica", "replica"),
        Column("state", "state", keep=True),
        Column("uptime_seconds", "up for", numbers.span, number=True, keep=True),
        Column("prefetch", "prefetch", number=True, keep=True, optional=True),
        Column("in_hand", "in flight", numbers.count, number=True, keep=True),
        Column("handled", "handled", numbers.count, number=True, keep=True),
        Column("retried", "retried", numbers.count, number=True, keep=True, optional=True),
        Column("failed", "failed", numbers.count, number=True, keep=True),
        Column("rss_bytes", "memory", numbers.size, number=True, keep=True),
    ]
    return RowTable(shown, columns)


def _notes(seen: Overview) -> Iterator[str]:
    """Yield what a person must know besides: one line each."""
    from loom_common.console import numbers

    running = ", ".join(f"{count} {status}" for status, count in sorted(seen.runs.items()))
    yield f"runs: {running or 'none yet'}"
    if (oldest := seen.oldest) is not None:
        silence = numbers.span(oldest.seconds)
        yield f"longest without news: {silence}, a batch of {oldest.run_id} that waits for {oldest.waits_for}"
    if seen.outbox:
        yield f"committed and not yet said: {counted(seen.outbox, 'message')}"
    if seen.dead:
        yield f"dead letters: {numbers.count(seen.dead)} (loom-coordinator dead list)"
    yield from (
        f"queue {row.queue} is missing: loom-coordinator topology apply" for row in seen.queues if row.ready is None
    )
    yield from _troubles(seen.replicas)
    if not seen.replicas:
        yield "No replica has been heard of: is a coordinator running, and LOOM_BUS_URL the cluster's?"


def _troubles(replicas: Sequence[ReplicaLine]) -> Iterator[str]:
    from loom_common.console import numbers

    for replica in replicas:
        name = f"{replica.service} {replica.replica}"
        if replica.state == "lost":
            yield f"{name}: silent for {numbers.span(replica.silent_seconds)}"
        for breaker in replica.breakers:
            again = f", tried again in {numbers.span(breaker.probe_in)}" if breaker.probe_in else ""
            if breaker.state != "closed":
                yield f"{name}: breaker {breaker.state} for {breaker.upstream}{again}"


def _range(limits: Sequence[int]) -> str:
    """Write a range, such as 8, or 4-8 while a new limit is on its way."""
    if not limits:
        return "-"
    return f"{limits[0]}" if limits[0] == limits[-1] else f"{limits[0]}-{limits[-1]}"
