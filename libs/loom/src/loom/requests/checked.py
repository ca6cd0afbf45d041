"""Looks at all that an embedded run needs before it begins, as `loom run` does, for runs that Python code asks for."""

from __future__ import annotations

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline, built
from loom_common.contracts.v1 import RunRequest
from loom_common.domain.model_options.params import resolved


async def checked(config: LoomConfig, request: RunRequest, loaded: LoadedPipeline, *, wait: bool) -> RunRequest:
    """Return the request with what is found, for its audit. What is looked at is what the run uses: the records that
    were given take the place of the source, and whoever takes its rows that of the destination. On a cluster its
    services look. Raises `ConfigurationError` where the run cannot begin."""
    if config.distributed:
        return request
    from loom.requests import validation
    from loom_coordinator.intake.definitions.given_records import definition_of_run, keeping_rows

    params = resolved(loaded.pipeline.params, request.params)
    of_run = keeping_rows(definition_of_run(loaded.definition, request.records), request.rows)
    found, _ = await validation.refuse_unready(
        built(of_run, loaded.path, config.allowed),
        config,
        params,
        sample=request.sample is not None and not request.load,
        wait=wait,
        say=_say_nothing,
        given=request.records is not None,
        taken=request.rows is not None,
    )
    return request.model_copy(update={"preflight": found})


def _say_nothing(_: str) -> None:
    """Do nothing: what a run does about columns stands in its manifest."""
