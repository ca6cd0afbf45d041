"""Reads one step of a transform: it has the keys of its type, besides those of every step."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, cast

from pydantic import ValidationError, create_model

from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.kinds import TRANSFORMS, of_the_type, transform_model
from loom_common.domain.definition.transforms.own_code import registered_model
from loom_common.domain.plugin_section import unusable
from loom_common.domain.section import Mistake, Section, mistake, mistakes_in, refusal, said
from loom_common.domain.steps.asking import BESIDE, JOIN, RESOLVE, asked_of
from loom_common.domain.steps.keys import StepKeys
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.queued.mistakes import queue_mistakes
from loom_common.domain.steps.registered.find import is_own, package_of, step_names, usable_step
from loom_common.domain.values.near import closest
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import names

NOT_IN_STEPS = ("schema", "cascade", "max_failures", "max_failure_rate")
"""Names the keys of a transform that hold for all steps together, or for a transform that is one step."""


def read_step(written: Any) -> Any:
    """Read a step by the model of its type, with the keys of every step besides. Raises a refusal that names every
    mistake."""
    if isinstance(written, StepKeys):
        return written
    if said(written, "type") == "steps" or said(written, "steps") is not None:
        raise refusal("step", [mistake((), "strange_for_type", "a step without `steps` of its own", written)])
    if (absent := _absent(written)) is not None:
        raise refusal("step", [absent])
    try:
        model = step_model(written)
        found = list(queue_mistakes(written))
        found += _question_mistakes(written) if model in OPERATORS.values() else strange_in_step(written)
        made = model.model_validate(written)
    except PluginUnusable as error:
        raise refusal("step", [unusable(("type",), error, said(written, "type"))]) from error
    except ValidationError as error:
        found += mistakes_in(error)
        mistaken = of_the_type(found, written) if model not in OPERATORS.values() else found
        raise refusal("step", mistaken) from None
    if found:
        raise refusal("step", found)
    return made


def _absent(written: Any) -> Mistake | None:
    """Return the mistake of a step that a package would bring which is not installed here; None of any other."""
    kind = said(written, "type")
    package = None if is_own(kind) or kind in (*step_names(), *names(Kind.TRANSFORM)) else package_of(kind)
    if package is None:
        return None
    return mistake(("type",), "plugin_missing", f"a step that is installed here: pip install {package}", kind)


def step_model(written: Any) -> type[StepKeys]:
    """Return the model of a step's keys. Raises `PluginUnusable`."""
    kind = said(written, "type")
    if (registered := registered_model(kind)) is not None:
        return with_step_keys(registered)
    if isinstance(kind, str) and kind not in TRANSFORMS and closest(kind, (*TRANSFORMS, *OPERATORS)) in OPERATORS:
        kind = closest(kind, OPERATORS)
    if isinstance(kind, str) and kind in OPERATORS:
        return OPERATORS[kind]
    return with_step_keys(transform_model(written))


class CandidatesQuestion(AiTransformConfig):
    """A model is asked which of some candidates matches a record."""

    beside: ClassVar[tuple[str, ...]] = BESIDE[JOIN]


class PairQuestion(AiTransformConfig):
    """A model is asked whether two records are the same."""

    beside: ClassVar[tuple[str, ...]] = BESIDE[RESOLVE]


def question_of(step: Any, most: int | None = None) -> StepKeys | None:
    """Return the question of an operator, as written or as a model, as a transform of type `ai`; None where it asks no
    model. `most` is how many candidates it is about. Raises `ValidationError`."""
    asked = asked_of(step, most)
    kind = CandidatesQuestion if said(step, "type") == JOIN else PairQuestion
    return None if asked is None else with_step_keys(kind).model_validate(dict(asked))


def _question_mistakes(step: Any) -> list[Mistake]:
    """Return what is wrong with the keys by which an operator asks a model."""
    try:
        question_of(step)
    except ValidationError as error:
        return [each for each in mistakes_in(error) if each.get("loc", ())[:1] in (("model",), ("params",), ("cache",))]
    return []


@cache
def with_step_keys(model: type[Section]) -> type[StepKeys]:
    """Return the model of a step whose keys, besides those of every step, are those of `model`."""
    bases: Any = (StepKeys, model)
    made: Any = create_model(f"{model.__name__}Step", __base__=bases, __doc__=model.__doc__)
    return cast("type[StepKeys]", made)


def strange_in_step(written: Any) -> Iterable[Mistake]:
    """Yield the keys of a step that belong to the transform as a whole."""
    for key in NOT_IN_STEPS:
        if said(written, key) is not None:
            expected = f"no `{key}` in a step; beside `steps` it holds for all of them"
            if key == "cascade":
                expected = "no `cascade` in a step: two steps and a `when` say the same"
            yield mistake((key,), "strange_for_type", expected, said(written, key))
    registered = usable_step(said(written, "type")) if said(written, "scope") == "batch" else None
    if said(written, "scope") == "batch" and (registered is None or registered.scope != "batch"):
        expected = "`record` here: only a registered step that says so is given the records of a batch together"
        yield mistake(("scope",), "strange_for_type", expected, "batch")
    execution = said(written, "execution")
    if execution == "batch" or said(execution, "type") == "batch":
        expected = "`direct` in a step: each step would wait for a batch of its own"
        yield mistake(("execution",), "strange_for_type", expected, execution)
    failing, critical = said(written, "on_failure"), said(written, "criticality")
    if failing in ("skip", "abort", "quarantine") and critical in ("critical", "optional"):
        expected = (
            f"no `on_failure: {failing}` in a step with `criticality: {critical}`, which says what a failure means"
        )
        yield mistake(("on_failure",), "strange_for_type", expected, failing)
