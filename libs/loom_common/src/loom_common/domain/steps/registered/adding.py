"""Writes out what a pipeline means that takes registered steps by name: their phases, what they make, and the steps
that they depend on. What is written out stays what it is when it is read again. Pure, but for the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from loom_common.domain.section import Mistake, items, mistake, said
from loom_common.domain.steps.registered.find import package_of, usable_step
from loom_common.domain.steps.registered.step import PipelineStep

_MOST = 200
"""Says how many steps a transform may have. A circle of dependencies ends earlier, as each step is added once."""


def written_out(transform: Any) -> Any:
    """Return a transform with all that its registered steps say of themselves, and with those that they depend on; as
    it is where it has no steps."""
    if not isinstance(transform, Mapping) or not isinstance(transform.get("steps"), list):
        return transform
    steps = [_long_form(step) for step in transform["steps"]]
    at = 0
    while at < len(steps) <= _MOST:
        if (step := usable_step(said(steps[at], "type"))) is not None and isinstance(steps[at], Mapping):
            steps[at] = _described(steps[at], step)
            for dependency in step.dependencies:
                name = stands_for(dependency, steps, steps[at])
                if name is None and usable_step(dependency) is not None:
                    steps.append({"name": dependency, "type": dependency})
                    name = dependency
                if name is not None:
                    steps[at] = _needing(steps[at], name)
        at += 1
    return {**transform, "steps": steps}


def stands_for(dependency: str, steps: Sequence[Any], besides: Any = None) -> str | None:
    """Return the name of the step, among those of a pipeline, that gives what another one depends on: it is of that
    type, or has that name. Return None where there is none."""
    others = [step for step in steps if step is not besides and isinstance(said(step, "name"), str)]
    of_type = (step for step in others if said(step, "type") == dependency)
    found = next(of_type, None) or next((step for step in others if said(step, "name") == dependency), None)
    return None if found is None else str(said(found, "name"))


def added_steps(written: Any, made: Any) -> list[tuple[str, str]]:
    """Return the steps that a transform has beside those that were written, each with the step that depends on it."""
    mine = {said(_long_form(step), "name") for step in items(written, "steps")}
    found = []
    for step in items(made, "steps"):
        name = said(step, "name")
        if name not in mine:
            asking = (said(each, "name") for each in items(made, "steps") if name in items(each, "needs"))
            found.append((str(name), str(next(asking, ""))))
    return found


def dependency_mistakes(steps: Sequence[Any]) -> Iterator[Mistake]:
    """Yield the mistakes of registered steps that depend on a step which neither the pipeline nor a package has. Their
    places begin at the list."""
    for at, step in enumerate(steps):
        found = usable_step(said(step, "type"))
        for lacking in found.dependencies if found else ():
            if stands_for(lacking, steps, step) is None and usable_step(lacking) is None:
                package = package_of(lacking)
                remedy = f"pip install {package}" if package else "install the package that offers it"
                why = f"`{said(step, 'name')}` depends on `{lacking}`, which nothing here offers"
                expected = f"a step whose dependencies are here: {why}; {remedy}"
                yield mistake((at, "type"), "plugin_missing", expected, said(step, "type"))


def inputs_by_step(steps: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    """Return by the names of registered steps, as written or as models, the fields that they say they read."""
    found: dict[str, tuple[str, ...]] = {}
    for step in steps:
        if (registered := usable_step(said(step, "type"))) is not None:
            written = step.model_dump(by_alias=True) if isinstance(step, BaseModel) else step
            found[str(said(step, "name"))] = registered.inputs_of(written)
    return found


def _long_form(step: Any) -> Any:
    """A step may be its name alone, and a registered one needs no `type` where its name says it."""
    if isinstance(step, str):
        return {"name": step.rpartition(":")[2], "type": step}
    name = said(step, "name")
    if isinstance(step, Mapping) and "type" not in step and usable_step(name) is not None:
        return {**step, "type": name}
    return step


def _described(written: Mapping[str, Any], step: PipelineStep) -> dict[str, Any]:
    said_of_itself: dict[str, Any] = {"phase": step.phase} if step.phase is not None else {}
    # What a failure means, a step says by either of these two.
    said_of_itself |= {"scope": step.scope} | ({} if "on_failure" in written else {"criticality": step.criticality})
    if (outputs := step.outputs_of(written)) is not None:
        said_of_itself["output"] = outputs
    return {**said_of_itself, **written}


def _needing(written: Mapping[str, Any], name: str) -> dict[str, Any]:
    needs = written.get("needs") or []
    needs = [needs] if isinstance(needs, str) else needs
    if not isinstance(needs, list) or any(str(each).partition(".")[0] == name for each in needs):
        return dict(written)
    return {**written, "needs": [*needs, name]}
