"""Declares the pages on which people judge records of a run, and see what labels say."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response

from loom.labelling.label_session import COUNT, VERDICTS
from loom.labelling.report import DELTA, GOAL, TARGET, Wanted
from loom.labelling.subject import section_of, subject_of
from loom_api.console.shown.asked import Blank, Words
from loom_api.console.shown.done import Done, WhatWasDone
from loom_api.console.shown.forms import Form, read_form
from loom_api.console.shown.rendering import Page, link, next_page, page
from loom_api.reads import Reads
from loom_api.running.labels import Labelling
from loom_api.source import Source
from loom_common.domain.run.replaying import GATE
from loom_common.errors import ConfigurationError
from loom_common.statistics.thresholds import Goal
from loom_coordinator.db.run import Run

_SAID = {
    Done.LABEL: "Your answer is kept. Undo takes it back.",
    Done.UNDO: "Your last answer is taken back.",
    Done.DRAW: "The records are drawn.",
}
OfGoal = Annotated[Goal | None, Blank, Query()]
OfTarget = Annotated[float | None, Blank, Query(gt=0, lt=1)]


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=Page)
    asked, serving = Depends(source.reads), Depends(source.labelling)

    @routes.get("/runs/{run_id}/label")
    async def show_next(
        run_id: str,
        evaluator: Words = None,
        done: WhatWasDone = None,
        reads: Reads = asked,
        labelling: Labelling = serving,
    ) -> Page:
        """Show the next record of the sample that the user has not judged, or the form that draws one."""
        run = await reads.known(run_id)
        drawn, subjects = {each.subject for each in await labelling.samples(run_id)}, _subjects(run)
        if evaluator is None and not drawn and subjects and GATE not in subjects:
            evaluator = subjects[0]  # the gate is code, which has no threshold
        session = await labelling.session(run_id, evaluator, "console")
        said = None if done is None else _SAID.get(done)
        there = session.subject.name in drawn
        return page(
            "label.html",
            run=run,
            subject=session.subject,
            subjects=subjects,
            done=said,
            count=COUNT,
            progress=await session.progress() if there else None,
            record=await session.next() if there else None,
        )

    @routes.post("/runs/{run_id}/label")
    async def keep_label(run_id: str, request: Request, labelling: Labelling = serving) -> Response:
        """Keep what the user says of a record."""
        form = await read_form(request)
        session = await labelling.session(run_id, form.one("evaluator"), "console")
        record_id, verdict = form.one("record"), form.one("verdict")
        if record_id is None or verdict not in VERDICTS:
            raise ConfigurationError("The form does not say what you think of which record. Open the page again.")
        await labelling.say(session, record_id, verdict, form.one("comment"), form.one("expected"))
        return _back(run_id, form, Done.LABEL)

    @routes.post("/runs/{run_id}/label/undo")
    async def undo_label(run_id: str, request: Request, labelling: Labelling = serving) -> Response:
        """Take back what the user has said last, and show that record again."""
        form = await read_form(request)
        await labelling.undo(await labelling.session(run_id, form.one("evaluator"), "console"))
        return _back(run_id, form, Done.UNDO)

    @routes.post("/runs/{run_id}/label/sample")
    async def draw_sample(run_id: str, request: Request, labelling: Labelling = serving) -> Response:
        """Draw records to judge, or more of them."""
        form = await read_form(request)
        await labelling.draw(run_id, form.one("evaluator"), _count(form.one("count")))
        return _back(run_id, form, Done.DRAW)

    @routes.get("/runs/{run_id}/labels")
    async def show_report(
        run_id: str,
        evaluator: Words = None,
        goal: OfGoal = None,
        target: OfTarget = None,
        reads: Reads = asked,
        labelling: Labelling = serving,
    ) -> Page:
        """Show how far people and evaluators agree, and the thresholds that labels speak for."""
        run = await reads.known(run_id)
        wanted = Wanted(goal or GOAL, target or TARGET, DELTA)
        found = await labelling.report(run_id, evaluator, wanted)
        return page("labels.html", run=run, found=found, subjects=_subjects(run), evaluator=evaluator, goals=list(Goal))

    return routes


def _subjects(run: Run) -> list[str]:
    """Return what records can be near to the threshold of."""
    names = [each.name for each in section_of(run).evaluators if each.threshold is not None]
    try:
        subject_of(run, GATE)
    except ConfigurationError:
        return names
    return [*names, *([] if GATE in names else [GATE])]


def _back(run_id: str, form: Form, done: Done) -> Response:
    return next_page(link(f"/runs/{quote(run_id, safe='')}/label", evaluator=form.one("evaluator"), done=done))


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"The number of records is no number: {text[:40]!r}.") from None
