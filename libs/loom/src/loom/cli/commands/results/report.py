"""Implements `loom report`, which writes what a run came to as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common
from loom.cli.options.groups import grouped

if TYPE_CHECKING:
    from loom.project.config import LoomConfig


@grouped
def report(
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="The file that the page is written to.")],
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="The run's id: `run_` and 12 letters or digits. Default: the newest run."),
    ] = None,
    *,
    common: Common,
) -> None:
    """Write a page of a run: records, scores against their thresholds, cost and latency, as tables and plots.

    It is one file that needs no network, in light and dark. `loom status` prints the same figures."""
    from loom.benchmarks.shown.files import put
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal

    config = common.configuration()
    text = follow.wait_for(_page(config, follow.wait_for(state.named_run(config, run_id))))
    put(text, html)
    terminal.say(f"{html} written.")


async def _page(config: LoomConfig, run_id: str) -> str:
    from loom.cli.commands import state
    from loom.project.run_state import no_run
    from loom.results.page import page
    from loom_coordinator.queries.scores import histograms

    async with state.opened(config) as views:
        run = await views.run(run_id)
        if run is None:
            raise no_run(config, run_id)
        async with views.engine.connect() as connection:
            scores = await histograms.of_run(connection, run_id)
    return page(run.as_json(), scores)
