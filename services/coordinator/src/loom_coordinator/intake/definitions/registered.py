"""Finds the definition that a request means, and registers pipelines under their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select

from loom_common.contracts.v1 import PipelineRegistered, RegisterPipeline, RunRequest
from loom_common.domain.checks.plan_check import plan_mistakes
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.model_options.params import example, resolved
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.ids import spawned_in
from loom_common.errors import InvalidDefinition, Problem
from loom_coordinator.db.tables.runs import pipelines
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake.definitions.prompt_versions import register_contexts, register_prompt

_DEFINITION = select(pipelines.c.definition).where(pipelines.c.name == bindparam("pipeline"))


@dataclass(frozen=True, slots=True)
class Registered:
    """Represents a pipeline as it is stored."""

    definition: dict[str, Any]
    files: dict[str, str]
    base: str


async def register(unit: UnitOfWork, request: RegisterPipeline) -> PipelineRegistered:
    """Enter a pipeline without running it. Raises `InvalidDefinition` with every mistake."""
    given = _carrying(Registered(request.definition, request.files, request.base))
    pipeline = parse(given.definition)
    values = {
        name: example(spec.type) if spec.default is None else spec.default for name, spec in pipeline.params.items()
    }
    plan = Plan(pipeline=pipeline, files=given.files, base=given.base, params=resolved(pipeline.params, values))
    if mistakes := [*plan_mistakes(plan)]:
        raise InvalidDefinition(mistakes)
    await see_what_it_spawns(unit, pipeline)
    await enter(unit, plan, given, explicit=True)
    return PipelineRegistered(pipeline=pipeline.name, version=pipeline.version)


async def definition_meant(unit: UnitOfWork, request: RunRequest) -> Registered:
    """Return the definition that a request gives, or names. Raises `InvalidDefinition` where it does neither or both,
    and for a name that is not registered."""
    if (request.definition is None) == (request.pipeline is None):
        raise InvalidDefinition(
            [Problem((), "both or none of `pipeline` and `definition`", "one: a registered name, or a definition")]
        )
    if request.definition is not None:
        return _carrying(Registered(request.definition, request.files, request.base))
    row = (
        (await unit.connection.execute(select(pipelines).where(pipelines.c.name == request.pipeline)))
        .mappings()
        .one_or_none()
    )
    if row is None:
        names = (await unit.connection.execute(select(pipelines.c.name).order_by(pipelines.c.name))).scalars().all()
        expected = f"a registered pipeline: {', '.join(names)}" if names else "a registered pipeline; there is none yet"
        raise InvalidDefinition([Problem(("pipeline",), repr(request.pipeline), expected)])
    return Registered(row["definition"], row["files"], row["base"])


async def see_what_it_spawns(unit: UnitOfWork, pipeline: Pipeline) -> None:
    """See that the pipelines that one spawns on a cluster are registered, and that they do not spawn it in turn. Raises
    `InvalidDefinition`. An embedded engine starts none of them."""
    if unit.owner is not None or not pipeline.spawn:
        return
    rows = (await unit.connection.execute(select(pipelines.c.name, pipelines.c.definition))).all()
    spawned = {name: spawned_in(definition) for name, definition in rows}
    problems: list[Problem] = []
    for at, child in enumerate(pipeline.spawn):
        if child not in spawned and child != pipeline.name:
            expected = f"a registered pipeline: {', '.join(sorted(spawned)) or 'there is none yet'}"
            problems.append(Problem(("spawn", at), repr(child), expected))
        elif pipeline.name in _below(child, spawned):
            expected = f"a pipeline that does not spawn {pipeline.name} in turn"
            problems.append(Problem(("spawn", at), repr(child), expected))
    if problems:
        raise InvalidDefinition(problems)


def _below(name: str, spawned: Mapping[str, Sequence[str]]) -> set[str]:
    """Return a pipeline with all that it spawns, and those in turn."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += spawned.get(one, ())
    return found


def _carrying(given: Registered) -> Registered:
    """Return a definition with the ontology that it names, which those who asked by hand do not send along. Raises
    `InvalidDefinition`."""
    if given.definition.get("ontology") is None:
        return given
    from loom_common.ontologies.applying import carried  # few pipelines have one

    definition, files, problems = carried(given.definition, given.files)
    if problems:
        raise InvalidDefinition(problems)
    return Registered(definition, files, given.base)


async def enter(unit: UnitOfWork, plan: Plan, given: Registered, *, explicit: bool = False) -> None:
    """Enter the pipeline. One that is only tried, or that runs for another target than the one registered, does not
    take the place of what is registered; one that is entered for itself does (`explicit`)."""
    pipeline = plan.pipeline
    keeps = plan.beside or not (explicit or await _is_of_target(unit, pipeline))
    changed = ("version", "description", "definition", "files", "base", "updated_at")
    await unit.upsert(
        pipelines,
        [
            {
                "name": pipeline.name,
                "version": pipeline.version,
                "description": pipeline.description,
                "definition": given.definition,
                "files": given.files,
                "base": given.base,
                "created_at": unit.now,
                "updated_at": unit.now,
            }
        ],
        update=() if keeps else changed,
    )
    await register_prompt(unit, plan)
    await register_contexts(unit, plan)


async def _is_of_target(unit: UnitOfWork, pipeline: Pipeline) -> bool:
    """Tell whether what is registered under the pipeline's name was made for the same target, or nothing is."""
    row = (await unit.connection.execute(_DEFINITION, {"pipeline": pipeline.name})).one_or_none()
    return row is None or row[0].get("target") == pipeline.target
