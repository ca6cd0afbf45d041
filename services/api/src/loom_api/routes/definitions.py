"""Declares the routes that check definitions and estimate runs of them. Nothing is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, Response

from loom_api.bodies import EstimateOptions, ValidateOptions
from loom_api.http.answers import Json, Routes
from loom_api.http.problems import placed, problem
from loom_api.results.definitions import Estimated, Validated
from loom_api.results.problems import Mistake
from loom_api.running.commands import Commands
from loom_api.source import Source

if TYPE_CHECKING:
    from loom.requests.validation import Validation


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("definitions")
    ordered = Depends(source.commands)

    @routes.post("/validate", response_model=Validated)
    async def validate_definition(options: ValidateOptions, commands: Commands = ordered) -> Response:
        """Check a definition and what it needs. 422 has every mistake in `errors`, each with its line and column."""
        found = await commands.validate(options, connect=options.connect)
        if not found.valid:
            return _refused(found)
        said = {"columns": None, **found.as_json()}
        return Json({name: said[name] for name in Validated.model_fields})

    @routes.post("/estimate", response_model=Estimated)
    async def estimate_run(options: EstimateOptions, commands: Commands = ordered) -> Json:
        """Estimate what a run would cost, over the first records of the source. No model is asked, and nothing is
        written but the estimate."""
        return Json((await commands.estimate(options)).document())

    return routes


def _refused(found: Validation) -> Response:
    mistakes = [placed(each) for each in found.problems]
    unready = [each for each in found.checks if not each.ok and not each.problems]
    mistakes += [Mistake(message=each.detail, key=each.what) for each in unready]
    return problem(422, "\n".join(each.message for each in mistakes), mistakes)
