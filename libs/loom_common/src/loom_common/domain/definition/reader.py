"""Reads a definition (a mapping) as a `Pipeline`, or reports all mistakes in it at once.

It also reads other sections, such as the project's configuration, which many commands do without a pipeline. So what
only a pipeline or the words of a mistake need is imported with the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from loom_common.domain.values.near import closest
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, Problem
from loom_common.expectations import expectation

if TYPE_CHECKING:
    from loom_common.domain.definition.pipeline import Pipeline

Locate = Callable[[tuple[str | int, ...]], tuple[str | None, int | None, int | None]]
"""A function from a path of keys to its place in the user's file: (file, line, column), each None if unknown."""
KeyPath = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)
_MOST_PLACES = 4
"""The most sections in which a key may exist for an error message to suggest where a misplaced one belongs."""
_AS_A_WHOLE = "the settings given"
"""Says what is found where a section misses something, or its keys do not fit each other."""
_KINDS = frozenset(get_args(ErrorType))
"""Holds the kinds of errors whose messages are pydantic's own."""


def parse(definition: Mapping[str, Any], locate: Locate = lambda _: (None, None, None)) -> Pipeline:
    """Validate a definition. Raises `InvalidDefinition` with every mistake, located by `locate`."""
    from loom_common.domain.definition.pipeline import Pipeline

    return validated(Pipeline, definition, locate)


def validated(model: type[M], written: Mapping[str, Any], locate: Locate) -> M:
    """Validate a mapping against any model, with the messages of `parse`. Raises `InvalidDefinition`."""
    try:
        return model.model_validate(written)
    except ValidationError as error:
        raise invalid(error, model, written, locate) from None


def invalid(
    error: ValidationError,
    model: type[BaseModel],
    written: Mapping[str, Any],
    locate: Locate = lambda _: (None, None, None),
) -> InvalidDefinition:
    """Return what pydantic found wrong with what was written, in the words of `parse`."""
    details = error.errors(include_url=False)
    paths = [_written_path(detail, written) for detail in details]
    kept = [at for at, path in enumerate(paths) if not _told_better(details[at], path, details, paths)]
    return InvalidDefinition(_distinct([_problem(details[at], paths[at], locate, model, written) for at in kept]))


def _told_better(
    detail: ErrorDetails, path: KeyPath, details: Sequence[ErrorDetails], paths: Sequence[KeyPath]
) -> bool:
    """Say whether another member of the union expects a value of this type, so that its error is more helpful."""
    if len(detail["loc"]) == len(path) or not detail["type"].endswith("_type"):
        return False
    return any(
        other[: len(path)] == path and (len(other) > len(path) or not each["type"].endswith("_type"))
        for each, other in zip(details, paths, strict=True)
    )


def _distinct(problems: list[Problem]) -> list[Problem]:
    """Return each mistake once, in the order of the file. For a key of several types, all expected types are listed;
    for a section, all that it misses."""
    by_place: dict[tuple[KeyPath, str], Problem] = {}
    for problem in problems:
        before = by_place.setdefault((problem.path, problem.found), problem)
        if problem.expected not in before.expected:
            joined = "; and" if problem.found == _AS_A_WHOLE else " or"
            expected = f"{before.expected}{joined} {problem.expected}"
            by_place[problem.path, problem.found] = replace(before, expected=expected)
    return sorted(by_place.values(), key=lambda problem: (problem.line or 0, problem.column or 0))


def _problem(
    detail: ErrorDetails, path: KeyPath, locate: Locate, model: type[BaseModel], written: Mapping[str, Any]
) -> Problem:
    found, expected, suggestion = _words(detail, path, model, written)
    if (near := _misspelt_type(detail)) is not None:
        path, found, expected, suggestion = (*path, near), f"the unknown key '{near}'", f"`type`: {expected}", "type"
    if detail["type"] == "union_tag_invalid" and isinstance(detail["input"], Mapping):
        path = (*path, "type")
    file, line, column = locate(path)
    return Problem(path, found, expected, suggestion, file, line, column)


def _misspelt_type(detail: ErrorDetails) -> str | None:
    """Return the key that stands where `type` is missing, and looks like it; None where there is none."""
    given = detail["input"]
    if detail["type"] != "union_tag_not_found" or not isinstance(given, Mapping):
        return None
    return closest("type", [str(key) for key in given])


def _written_path(detail: ErrorDetails, definition: Any) -> KeyPath:
    """Return pydantic's location without the names that it adds for union members. Such a name follows the position in
    a list, and may be that of a key, too."""
    path: list[str | int] = []
    here: Any = definition
    of_list = False
    for part in detail["loc"]:
        is_member = of_list and isinstance(here, Mapping) and part == here.get("check")
        of_mapping = isinstance(here, Mapping) and part in here and not is_member
        of_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if of_mapping or of_list:
            here = here[part]
            path.append(part)
    return (*path, detail["loc"][-1]) if detail["type"] == "missing" else tuple(path)


def _words(
    detail: ErrorDetails, path: KeyPath, model: type[BaseModel], written: Mapping[str, Any]
) -> tuple[str, str, str | None]:
    from loom_common.domain.definition.evaluator_kinds import evaluator_names
    from loom_common.domain.definition.transforms.kinds import transform_names
    from loom_common.domain.model_options.providers import provider_names
    from loom_common.domain.quality.check import QualityCheck, same_bound
    from loom_common.domain.steps.operators import OPERATORS
    from loom_common.domain.steps.registered.find import step_names

    kind, context = detail["type"], detail.get("ctx", {})
    last = str(path[-1]) if path else ""
    match kind:
        case "missing":
            return "nothing", f"a value for `{last}`", None
        case "extra_forbidden":
            section = _section_at(detail["loc"], model, written)
            known = _keys(section)
            near = same_bound(last, known) if issubclass(section, QualityCheck) else None
            near = near or closest(last, known)
            elsewhere = "" if near else _belongs(last, model, path)
            return f"the unknown key '{last}'", f"one of {', '.join(known)}{elsewhere}", near
        case "literal_error":
            options = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            of_step = path[:2] == ("transform", "steps") and (len(path) == 3 or (len(path) == 4 and path[-1] == "type"))
            if of_step or path == ("transform", "type"):
                options = [*transform_names(), *((*OPERATORS, *step_names()) if of_step else ())]
            return _shown(detail["input"]), f"one of {', '.join(options)}", closest(str(detail["input"]), options)
        case "union_tag_invalid" | "union_tag_not_found":
            given = detail["input"].get("type") if isinstance(detail["input"], Mapping) else detail["input"]
            tags = str(context.get("expected_tags", "")).replace("'", "").split(", ")
            known = evaluator_names() if not tags[0] or tags[0] in evaluator_names() else tags
            return f"type {_shown(given)}", f"one of {', '.join(known)}", closest(str(given), known)
        case "unknown_provider":
            known = sorted(provider_names())
            expected = f"`provider:model` with one of {', '.join(known)}, or with one of `providers`"
            return _shown(detail["input"]), expected, detail["msg"]
        case "model_type" | "dict_type" | "model_attributes_type":
            return _shown(detail["input"]), "keys and values: `key: ...`", None
        case _ if isinstance(detail["input"], Mapping) and kind not in _KINDS:
            return _AS_A_WHOLE, detail["msg"], None
        case "clear_text_password" | "clear_text_secret":
            return "a secret in clear", detail["msg"], None
        case _:
            return _shown(detail["input"]), _lower_first(detail["msg"]), None


def _section_at(loc: KeyPath, model: type[BaseModel], written: Mapping[str, Any]) -> type[BaseModel]:
    """Return the section that contains the last key of `loc`."""
    from loom_common.domain.definition.evaluator_kinds import evaluator_model
    from loom_common.domain.definition.evaluators import Evaluator
    from loom_common.domain.definition.transforms.kinds import transform_model
    from loom_common.domain.definition.transforms.step_keys import step_model
    from loom_common.domain.definition.transforms.transform import TransformConfig
    from loom_common.domain.quality.check import QualityCheck
    from loom_common.domain.quality.kinds import CHECKS
    from loom_common.domain.steps.keys import StepKeys

    members: Sequence[type[BaseModel]] = ()
    for part in loc[:-1]:
        is_key = isinstance(part, str) and _annotation(model, part) is not None
        if (
            isinstance(part, str)
            and not is_key
            and (member := next((each for each in members if part in _tags(each)), None))
        ):
            model = member
        elif isinstance(part, str) and issubclass(model, Evaluator) and (named := evaluator_model(part)) is not None:
            model = named
        elif isinstance(part, str) and issubclass(model, QualityCheck) and part in CHECKS:
            model = CHECKS[part]
        elif isinstance(part, int) and issubclass(model, StepKeys):
            model = step_model(written["transform"]["steps"][part])
        elif isinstance(part, str) and (annotation := _annotation(model, part)) is not None:
            members = list(_sections_of(annotation))
            model = next(iter(members), model)
            if issubclass(model, TransformConfig):
                model = transform_model(written[part])
    return model


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """Return the values of `type` that mean a section among others."""
    field = model.model_fields.get("type")
    return () if field is None else get_args(field.annotation)


def _annotation(model: type[BaseModel], key: str) -> Any:
    """Return the type of the value of a key, as it is written; None where the section has no such key."""
    fields = model.model_fields.items()
    return next((info.annotation for name, info in fields if key == (info.alias or name)), None)


def _keys(model: type[BaseModel]) -> list[str]:
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _belongs(key: str, root: type[BaseModel], path: KeyPath) -> str:
    """Return where a misplaced key belongs, as a phrase; empty where no section has such a key, and where it stands in
    a list of sections of which another has it: it would be sent to where it is."""
    places = dict.fromkeys(at for at, section in _sections(root, "") if key in _keys(section))
    here = "".join("[]" if isinstance(part, int) else f".{part}" for part in path[:-1])
    if here.removeprefix(".") in places:
        return ""
    return f"; `{key}` belongs to {' or '.join(places)}" if 0 < len(places) <= _MOST_PLACES else ""


def _sections(model: type[BaseModel], at: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        place = f"{at}{name}[]" if name in ("evaluators", "quality_checks") else f"{at}{name}"
        for inner in _sections_of(field.annotation):
            yield place, inner
            yield from _sections(inner, f"{place}.")


def _sections_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a key's value may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        yield from (section for arg in get_args(annotation) for section in _sections_of(arg))


def _shown(value: Any) -> str:
    text = redacted(value) if isinstance(value, str) else value
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _lower_first(text: str) -> str:
    text = expectation(text)
    return text[:1].lower() + text[1:]
