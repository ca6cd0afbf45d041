"""Checks that the scorers, gates, quality checks and Python functions that a definition names are there; a missing one
is a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from loom.project.yaml_positions import Document, KeyPath
from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.definition.quality_gate import GATES, AnyGate, GateConfig
from loom_common.domain.model_options.scorers import ClassifierOptions, is_onnx, is_server, with_scorer_named
from loom_common.domain.model_options.several_calls import ToolConfig
from loom_common.domain.section import items, said
from loom_common.domain.steps.views import definitions_by_step, relocated
from loom_common.domain.values.near import closest
from loom_common.errors import PathNotAllowed, Problem, UserCodeError
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import names
from loom_common.quality.compiled import function_of
from loom_common.user_code.functions import load_function
from loom_common.user_code.plan_paths import see_module

Known = Callable[[], Iterable[str]]
"""Holds the names that there are, which are asked for only where another one was written."""
_GATE: TypeAdapter[GateConfig] = TypeAdapter(AnyGate)


def code_problems(
    document: Document, definition: Mapping[str, Any], folder: Path, paths: AllowedPaths
) -> list[Problem]:
    """What `definition`, which may have mistakes elsewhere, names and cannot be loaded, or lies outside of `paths`."""
    evaluate = said(definition, "evaluate")
    problems: list[Problem] = []

    def look(
        at: KeyPath, name: Any, load_it: Callable[[], object], known: Callable[[], Iterable[str]] | None = None
    ) -> None:
        if not isinstance(name, str) or (":" not in name and known is None):
            return  # what is no reference at all is told by its type
        try:
            see_module(name.rpartition(":")[0], folder, paths)
            load_it()
        except (UserCodeError, PathNotAllowed) as error:
            words = f"a name that can be loaded ({str(error).rstrip('.?')})"
            problems.append(document.problem(at, repr(name), words, closest(name, known() if known else ())))

    for place, alone in definitions_by_step(definition):
        for at, function, load_it in _functions(said(alone, "transform"), folder):
            look(relocated(place, at), function, load_it)
        transform = with_scorer_named(said(alone, "transform"))
        apart = said(transform, "instances") is not None
        for at, section in _scorers_in(transform):
            find = partial(_find_scorer, section, folder, paths, apart=apart)
            look(relocated(place, at), said(section, "scorer"), find, _scorers)
    for at, function, load_it in _functions_of_evaluators(evaluate, folder):
        look(at, function, load_it)
    for path, check in _checks(definition):
        look(path, check, partial(function_of, check, folder), lambda: names(Kind.CHECK))
    if (gate := _gate(said(evaluate, "quality_gate"))) is not None:
        look(
            ("evaluate", "quality_gate"),
            gate.type,
            partial(_find_gate, gate, folder),
            lambda: (*GATES, *names(Kind.GATE)),
        )
    return problems


def _functions(transform: Any, folder: Path) -> Iterator[tuple[KeyPath, Any, Callable[[], object]]]:
    """Yield the functions of a transform and the cheap tier of its cascade, and those that a model may use, with what
    loads each."""
    if said(transform, "type") == "python":
        function = said(transform, "function")
        yield ("transform", "function"), function, partial(load_function, function, folder)
    for position, tool in enumerate(items(transform, "tools")):
        at: KeyPath = ("transform", "tools", position)
        short = isinstance(tool, str)
        function = tool if short else said(tool, "function")
        yield at if short else (*at, "function"), function, partial(_find_tool, tool, folder)
    for key in ("cheap", "confidence"):
        function = said(said(said(transform, "cascade"), key), "function")
        yield ("transform", "cascade", key, "function"), function, partial(load_function, function, folder)


def _functions_of_evaluators(evaluate: Any, folder: Path) -> Iterator[tuple[KeyPath, Any, Callable[[], object]]]:
    """Yield the functions of evaluators and the cheap tiers of their cascades, with what loads each."""
    for position, evaluator in enumerate(items(evaluate, "evaluators")):
        cheap = said(said(evaluator, "cascade"), "cheap")
        for place, each in (((), evaluator), (("cascade", "cheap"), cheap)):
            if said(each, "type") == "python":
                function = said(each, "function")
                at = ("evaluate", "evaluators", position, *place, "function")
                yield at, function, partial(load_function, function, folder)


def _scorers_in(transform: Any) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the sections that name a scorer, the transform and the cheap tier of its cascade, with the places of the
    names."""
    if said(transform, "type") == "scorer" and not is_server(said(transform, "scorer")):
        yield ("transform", "scorer"), transform
    cheap = said(said(transform, "cascade"), "cheap")
    if said(cheap, "scorer") is not None:
        yield ("transform", "cascade", "cheap", "scorer"), cheap


def _checks(definition: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the functions of custom quality checks, with their places."""
    for section in ("extract", "load"):
        for position, check in enumerate(items(said(definition, section), "quality_checks")):
            if said(check, "check") == "custom":
                yield (section, "quality_checks", position, "function"), said(check, "function")


def _gate(written: Any) -> GateConfig | None:
    """None where there is none, or it has a mistake that is told without loading it."""
    try:
        return None if written is None else _GATE.validate_python(written)
    except ValidationError:
        return None


def _find_tool(written: Any, folder: Path) -> None:
    """Load a tool and describe its arguments; settings that are mistakes are told by their type."""
    from loom_transformer.transforms.asking.tool_functions import tool_function

    try:
        tool = ToolConfig.model_validate(written)
    except ValidationError:
        return
    tool_function(tool, folder)


def _scorers() -> list[str]:
    from loom_transformer.scoring.loading import BUILTIN

    return [*BUILTIN, *names(Kind.SCORER)]


def _find_gate(gate: GateConfig, folder: Path) -> None:
    from loom_evaluator.gates import gate_of

    gate_of(gate, folder)


def _find_file(section: Any, folder: Path, paths: AllowedPaths, *, apart: bool) -> None:
    """See that the file of a model is there and may be read. It is loaded where it can be, unless it runs in processes
    of its own (`apart`): whether what it needs is installed is told by the checks of the pipeline."""
    from loom_transformer.scoring import onnx_file

    file = paths.real(folder / said(section, "scorer"))
    if not file.is_file():
        raise UserCodeError(f"There is no file {folder / said(section, 'scorer')}")
    if onnx_file.installed() and not apart:
        try:
            classifier = ClassifierOptions(labels=said(section, "labels"), into=said(section, "into")).classifier
        except ValidationError:
            return  # which is told by its type
        onnx_file.OnnxClassifier(file, classifier)


def _find_scorer(section: Any, folder: Path, paths: AllowedPaths, *, apart: bool) -> None:
    """Leave Loom's own scorers to be loaded by the worker that needs them: a lexicon takes a while. Of one that runs in
    processes of its own (`apart`) no instance is made here, which would hold a model that nobody uses."""
    from loom_transformer.scoring.loading import BUILTIN, find_scorer, importable, load_scorer

    name = said(section, "scorer")
    if name in BUILTIN:
        return
    if is_onnx(name):
        _find_file(section, folder, paths, apart=apart)
    elif apart:
        find_scorer(name, folder)
        importable(name)
    else:
        load_scorer(name, folder)
