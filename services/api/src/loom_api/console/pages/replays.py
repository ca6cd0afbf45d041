"""Takes the forms by which people run records again that were kept back: one of them, or those that they chose."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from loom.requests.replays import NothingWaits
from loom_api.console.shown.changes import changes_in, offered
from loom_api.console.shown.done import Done
from loom_api.console.shown.forms import Form, read_form
from loom_api.console.shown.rendering import Page, link, next_page
from loom_api.reads import Reads
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_common.contracts.v1 import RunAccepted
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_quarantine.queries import RecordFilter

_MOST_RUNS = 20
"""The most runs whose records one form replays, each by a run of its own."""


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=Page)
    asked, ordered = Depends(source.reads), Depends(source.commands)

    @routes.post("/runs/{run_id}/records/{record_id:path}/retry")
    async def retry_record(
        run_id: str, record_id: str, request: Request, reads: Reads = asked, commands: Commands = ordered
    ) -> Response:
        """Run one record again, as it was, or changed."""
        form = await read_form(request)
        kept = await reads.kept_record(record_id, run_id)
        run = await reads.known(run_id)
        offer = offered(run.definition, await reads.prompt_template(run_id), kept.row.record_data)
        meant = RecordFilter(run_id=run_id, record_ids=(record_id,))
        return _shown([await commands.replay(run_id, meant, changes_in(form, offer))])

    @routes.post("/quarantine/retry")
    async def retry_records(request: Request, reads: Reads = asked, commands: Commands = ordered) -> Response:
        """Run the records again that were chosen, by one run for those of each run that kept them back."""
        form = await read_form(request)
        meant = _meant(form)
        if len(meant) > _MOST_RUNS:
            words = f"The records chosen are of {len(meant)} runs. Choose those of at most {_MOST_RUNS} at once."
            raise ConfigurationError(words)
        answers: list[RunAccepted | NothingWaits] = []
        for run_id, chosen in meant.items():
            run = await reads.known(run_id)
            offer = offered(run.definition, await reads.prompt_template(run_id))
            try:
                answers.append(await commands.replay(run_id, chosen, changes_in(form, offer)))
            except ConfigurationError as error:
                raise _midway(answers, error) from error
        return _shown(answers)

    return routes


def _meant(form: Form) -> dict[str, RecordFilter]:
    """Return the records that were chosen, by their runs. Raises `ConfigurationError` where none were."""
    if form.one("all") and (run_id := form.one("run_id")):
        return {run_id: _filter(form, run_id)}
    ids: dict[str, list[str]] = {}
    for each in form.all("record"):
        run_id, _, record_id = each.partition("/")
        ids.setdefault(run_id, []).append(record_id)
    if not ids:
        raise ConfigurationError("No record was chosen. Mark those that are to be run again.")
    return {run_id: RecordFilter(run_id=run_id, record_ids=tuple(names)) for run_id, names in ids.items()}


def _filter(form: Form, run_id: str) -> RecordFilter:
    """Return the filter of the page that the form stood on."""
    try:
        stage = form.one("stage")
        least, most = form.one("min_score"), form.one("max_score")
        return RecordFilter(
            run_id=run_id,
            stage=None if stage is None else Stage(stage),
            reason=form.one("reason"),
            evaluator=form.one("evaluator"),
            min_score=None if least is None else float(least),
            max_score=None if most is None else float(most),
        )
    except ValueError:
        raise ConfigurationError("The form does not say which records it means. Open the page again.") from None


def _midway(answers: Sequence[RunAccepted | NothingWaits], error: ConfigurationError) -> ConfigurationError:
    """Return the error with what had begun before it."""
    begun = [each.run_id for each in answers if isinstance(each, RunAccepted)]
    return ConfigurationError(f"{error} Before that, replays began: {', '.join(begun)}.") if begun else error


def _shown(answers: Sequence[RunAccepted | NothingWaits]) -> Response:
    """Lead to what has begun. Raises `HTTPException` where none of the records waits."""
    begun = [each for each in answers if isinstance(each, RunAccepted)]
    if not begun:
        raise HTTPException(409, " ".join(each.words() for each in answers if isinstance(each, NothingWaits)))
    if len(answers) == 1:
        return next_page(link(f"/runs/{quote(begun[0].run_id, safe='')}", done=Done.REPLAY))
    return next_page(link("/runs", done=Done.REPLAY, begun=len(begun), none=len(answers) - len(begun)))
