"""Finds the pipelines that one spawns, and prepares the run of each.

The id of such a run follows from that of the run before it, so that whoever goes on finds what was begun. On a cluster
the coordinator asks for these runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.requests.runs import Say, prepare
from loom_common.contracts.v1 import RunRequest
from loom_common.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Spawning:
    """Says that a pipeline runs after another one."""

    after: str
    """The name of the turn before it."""
    pipeline: str
    """The name of the pipeline of that turn."""
    name: str
    """The name of its own turn, which no other has."""
    loaded: LoadedPipeline


def below(name: str, spawn: Sequence[str], config: LoomConfig) -> list[Spawning]:
    """Return what a pipeline spawns, and what those spawn in turn, each after the one before it; nothing on a cluster,
    whose coordinator asks for them. Raises `ConfigurationError` for names of no pipeline and for circles, so that
    nothing is begun that cannot be finished."""
    if not spawn or config.distributed:
        return []
    from loom.project import catalog, dependencies

    found: list[Spawning] = []
    waiting = [(name, name, child) for child in spawn]
    while waiting:
        after, pipeline, child = waiting.pop(0)
        loaded = catalog.find_file(child, config)
        if problems := dependencies.problems(loaded.document, loaded.definition, config):
            raise InvalidDefinition(problems)
        turn = f"{child} (after {pipeline})" if any(each.name == child for each in found) else child
        found.append(Spawning(after, pipeline, turn, loaded))
        waiting += [(turn, child, each) for each in loaded.pipeline.spawn]
    return found


async def request_for(
    loaded: LoadedPipeline, key: str, config: LoomConfig, *, wait: bool, say: Say, requested_by: str | None
) -> RunRequest:
    """See that a spawned pipeline can run, and return the request for its run, with the parameters' defaults. Raises
    `ConfigurationError` where it cannot."""
    prepared = await prepare(str(loaded.path), config, {}, sample=False, wait=wait, say=say)
    how = {"idempotency_key": key, "requested_by": requested_by, "reuse": config.cache.enabled}
    return prepared.request.model_copy(update=how)
