"""Prepares runs: finds the pipeline, and sees that it can run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from loom.project import catalog
from loom.project.config import LoomConfig
from loom.project.definition_file import InvalidFile, LoadedPipeline
from loom.views import open_views
from loom_common.contracts.v1 import RunRequest
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.model_options.params import resolved
from loom_common.errors import ConfigurationError

Say = Callable[[str], None]
"""Tells a person, in a sentence, what does not stand in the way of a run."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Holds a run that may begin."""

    request: RunRequest
    loaded: LoadedPipeline | None
    """None for a registered pipeline, whose file lies elsewhere."""
    expected: int | None
    """Says how many records its source has, where that is known."""


async def prepare(
    target: str,
    config: LoomConfig,
    params: Mapping[str, Any],
    *,
    sample: bool,
    wait: bool,
    say: Say,
    by_name: bool = False,
    profile: str | None = None,
) -> Prepared:
    """Find the pipeline and see that it can run. `by_name`: the target is no path of a file; `profile` names which of
    its steps run. Raises `ConfigurationError` where it cannot."""
    registered = [] if catalog.is_path(target) and not by_name else await _registered(config, target)
    try:
        loaded = catalog.find(target, config, registered, by_name=by_name)
    except InvalidFile as error:
        if config.distributed:
            raise
        from loom.requests import validation

        raise await validation.every_mistake(error, config) from None
    if isinstance(loaded, str):
        if profile is not None:
            raise ConfigurationError(f"`--profile` needs the file of {loaded}, which is not here.")
        return Prepared(RunRequest(pipeline=loaded, params=dict(params)), None, None)
    if (added := loaded.added) is not None:
        say(added)
    if profile is not None:
        from loom.requests.profiles import with_profile

        loaded, words = with_profile(loaded, profile, config.allowed)
        say(words)
    params = dict(params)
    resolved(loaded.pipeline.params, params)
    found, expected = None, None
    if config.distributed:
        from loom.plugins import refuse_registered

        refuse_registered(loaded.pipeline)
    else:
        from loom.requests import validation

        if loaded.pipeline.mode == "streaming":
            if not sample:
                await refuse_at_work(config, loaded.pipeline)
        else:
            await refuse_unfinished(config, loaded.pipeline.name)
        found, expected = await validation.refuse_unready(loaded, config, params, sample=sample, wait=wait, say=say)
    base = config.base_of(loaded.folder)
    request = RunRequest(definition=loaded.definition, params=params, files=loaded.files, base=base, preflight=found)
    return Prepared(request, loaded, expected)


async def prepare_over_records(name: str, config: LoomConfig, params: Mapping[str, Any]) -> RunRequest:
    """Find the pipeline of this name, which is to read records that are given to it in place of its source, so that
    this is not looked at. Raises `ConfigurationError` where it cannot run."""
    loaded = catalog.find(name, config, await _registered(config, name), by_name=True)
    if isinstance(loaded, str):
        return RunRequest(pipeline=loaded, params=dict(params))
    resolved(loaded.pipeline.params, dict(params))
    if config.distributed:
        from loom.plugins import refuse_registered

        refuse_registered(loaded.pipeline)
    base = config.base_of(loaded.folder)
    return RunRequest(definition=loaded.definition, params=dict(params), files=loaded.files, base=base)


async def named(name: str, config: LoomConfig) -> RunRequest:
    """Find the pipeline of this name, whatever parameters it needs. Raises `ConfigurationError`."""
    loaded = catalog.find(name, config, await _registered(config, name), by_name=True)
    return RunRequest(pipeline=loaded) if isinstance(loaded, str) else RunRequest(definition=loaded.definition)


async def refuse_at_work(config: LoomConfig, pipeline: Pipeline) -> None:
    """Raise `ConfigurationError` where another process is at work on the stream of a pipeline."""
    from loom.project.engines import alive
    from loom_coordinator.db import streams

    stream_id = streams.id_of(pipeline)
    async with open_views(config) as views:
        waiting = await views.open_windows(stream_id)
    if any(alive(config.project, each.owner) for each in waiting if each.is_at_work):
        raise ConfigurationError(
            f"The stream {stream_id} of {pipeline.name} is at work in another process. `loom drain {stream_id}` ends "
            "it once its source has nothing more."
        )


async def refuse_unfinished(config: LoomConfig, pipeline: str, besides: Collection[str] = ()) -> None:
    """Raise `ConfigurationError` where an earlier run of the pipeline, none of `besides`, waits to be finished."""
    async with open_views(config) as views:
        unfinished = await views.unfinished(pipeline, config.target)
    for run in unfinished:
        if run.run_id in besides:
            continue
        raise ConfigurationError(
            f"An earlier run of {pipeline} has not ended: {run.run_id} was {run.status}. Finish it with "
            f"`loom resume {run.run_id}`, or drop it with `loom cancel {run.run_id}`."
        )


async def _registered(config: LoomConfig, target: str) -> list[str]:
    """List the pipelines that have run here. A cluster knows its own: what it is asked for by name counts as
    registered."""
    if config.distributed:
        return [target]
    async with open_views(config) as views:
        return [each.name for each in await views.pipelines()]
