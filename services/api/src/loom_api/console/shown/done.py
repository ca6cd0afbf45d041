"""Says on the next page what a form has done. The address of that page names it by a code, so that no address that
somebody makes up puts other words on a page."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query
from pydantic import BeforeValidator

from loom_common.domain.values.plural import counted


class Done(StrEnum):
    """Lists what forms do."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REPLAY = "replay"
    ACKNOWLEDGE = "acknowledge"
    LABEL = "label"
    UNDO = "undo"
    DRAW = "draw"
    APPLY = "apply"


_SENTENCES = {
    (Done.PAUSE, "paused"): "The run is paused. Nothing is lost: Resume goes on where it stopped.",
    (Done.RESUME, "running"): "The run goes on. What was done is not done again.",
    (Done.CANCEL, "cancelled"): "The run is cancelled. What it loaded stays; the rest counts as cancelled.",
}


def _known(value: Any) -> Any:
    return value if value in Done.__members__.values() else None


WhatWasDone = Annotated[Done | None, BeforeValidator(_known), Query()]


def sentence(done: Done | None, status: str) -> str | None:
    """Say what became of a run by a form, from its status; None where no form led here."""
    match done:
        case None | Done.ACKNOWLEDGE | Done.LABEL | Done.UNDO | Done.DRAW | Done.APPLY:
            return None
        case Done.REPLAY:
            return "The replay has begun. It is this run."
    asked = {Done.PAUSE: "paused", Done.RESUME: "resumed", Done.CANCEL: "cancelled"}[done]
    return _SENTENCES.get((done, status), f"It was asked to be {asked}. The run is now {status}.")


def begun(replays: int, none: int) -> str:
    """Say how many replays of a selection have begun, and of how many runs no record that was chosen waits."""
    said = f"{counted(replays, 'replay has', 'replays have')} begun: one for the records of each run."
    return f"{said} Of {counted(none, 'other run', 'other runs')}, no record that was chosen waits." if none else said
