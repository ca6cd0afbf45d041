"""Takes the forms by which people command runs and acknowledge alerts. Each leads to a page that says what was done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request, Response

from loom_api.bodies import MOST_DOLLARS
from loom_api.console.shown.done import Done
from loom_api.console.shown.forms import Form, read_form
from loom_api.console.shown.rendering import Page, link, next_page
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_common.contracts.v1 import RunAccepted
from loom_common.errors import ConfigurationError


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=Page)
    ordered = Depends(source.commands)

    @routes.post("/runs/{run_id}/pause")
    async def pause_run(run_id: str, request: Request, commands: Commands = ordered) -> Response:
        """Stop a run where it stands."""
        return await _commanded(request, Done.PAUSE, lambda _form: commands.pause(run_id))

    @routes.post("/runs/{run_id}/resume")
    async def resume_run(run_id: str, request: Request, commands: Commands = ordered) -> Response:
        """Go on with a run, with another budget where one was entered."""
        return await _commanded(request, Done.RESUME, lambda form: commands.resume(run_id, _budget(form.one("budget"))))

    @routes.post("/runs/{run_id}/cancel")
    async def cancel_run(run_id: str, request: Request, commands: Commands = ordered) -> Response:
        """End a run."""
        return await _commanded(request, Done.CANCEL, lambda _form: commands.cancel(run_id))

    @routes.post("/alerts/{alert_id}/acknowledge")
    async def acknowledge_alert(
        alert_id: Annotated[int, Path(ge=0, lt=1 << 63)], request: Request, commands: Commands = ordered
    ) -> Response:
        """Note that somebody has seen an alert."""
        form = await read_form(request)
        await commands.acknowledge(alert_id)
        filters = {name: form.one(name) for name in ("pipeline", "acknowledged", "after")}
        return next_page(link("/alerts", **filters, done=Done.ACKNOWLEDGE))

    return routes


async def _commanded(request: Request, done: Done, act: Callable[[Form], Awaitable[RunAccepted]]) -> Response:
    accepted = await act(await read_form(request))
    return next_page(link(f"/runs/{quote(accepted.run_id, safe='')}", done=done))


def _budget(text: str | None) -> float | None:
    """Return a budget in USD. Raises `ConfigurationError` for what is none."""
    if text is None:
        return None
    try:
        budget = float(text)
    except ValueError:
        budget = 0.0
    if not 0 < budget <= MOST_DOLLARS:
        raise ConfigurationError(f"The budget {text[:40]!r} is no amount of US dollars above 0, such as 12.50.")
    return budget
