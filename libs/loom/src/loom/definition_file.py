"""A pipeline file: read with the places of its keys, and with the prompts and context files that travel with it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from loom import yaml_positions
from loom.yaml_positions import Document, KeyPath
from loom_common.domain.definition import Locate, parse
from loom_common.domain.gates import BUILTIN as GATES
from loom_common.domain.pipeline import Pipeline
from loom_common.domain.prompt import check_prompt
from loom_common.errors import InvalidDefinition, Problem, UserCodeError
from loom_common.functions import load_function
from loom_evaluator.custom_gates import gate_of
from loom_transformer.transforms.scorer import BUILTIN as SCORERS
from loom_transformer.transforms.scorer import Scorers

Fill = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Puts a project's defaults into a definition: `LoomConfig.applied_to`."""


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A pipeline file that holds no mistake."""

    pipeline: Pipeline
    definition: dict[str, Any]
    """As JSON values: what a run request carries."""
    files: dict[str, str]
    """Prompt and context files by the path the pipeline names them with, as text."""
    path: Path
    locate: Locate = lambda _: (None, None, None)
    """Where a key stands in the file."""

    @property
    def folder(self) -> Path:
        """Where the pipeline's relative paths start."""
        return self.path.resolve().parent

    def placed(self, error: InvalidDefinition) -> InvalidDefinition:
        """Mistakes that were found without the file, e.g. by a connector in its options, with their places in it."""
        placed = []
        for problem in error.problems:
            file, line, column = self.locate(problem.path)
            placed.append(replace(problem, file=file, line=line, column=column))
        return InvalidDefinition(placed)


def load(path: Path, fill: Fill = dict) -> LoadedPipeline:
    """Read a pipeline file. Raises `InvalidDefinition` with every mistake in it and in the files it names."""
    shown = os.path.relpath(path)
    if path.is_dir():
        raise InvalidDefinition([Problem((), "a folder", "a pipeline file", file=shown)])
    if not path.exists():
        near = _neighbour(path, path)
        expected = "the path of a pipeline file, or a pipeline's name"
        raise InvalidDefinition([Problem((), "no such file", expected, near, file=shown)])
    document = yaml_positions.parse(yaml_positions.read_text(path, shown), shown)
    try:
        pipeline = parse(fill(document.data), document.locate)
    except InvalidDefinition as error:
        _, more = _Files(_named_files(document.data), path.resolve().parent, document).gather()
        raise InvalidDefinition([*error.problems, *more]) from None
    files, problems = _Files(_Named.by(pipeline), path.resolve().parent, document).gather()
    problems += _functions(document, pipeline, path.resolve().parent)
    if problems:
        raise InvalidDefinition(problems)
    definition = pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return LoadedPipeline(pipeline, definition, files, path, document.locate)


def gather_files(pipeline: Pipeline, folder: Path) -> dict[str, str]:
    """The prompt and context files of a pipeline that was built in Python. Raises `InvalidDefinition`."""
    files, problems = _Files(_Named.by(pipeline), folder, None).gather()
    if problems:
        raise InvalidDefinition(problems)
    return files


def is_path(prompt: str, folder: Path) -> bool:
    """Whether `prompt` names a file: one of that name exists, or it has no whitespace and no braces."""
    if not any(mark in prompt for mark in " \n\t{}"):
        return True
    return "\n" not in prompt and len(prompt) < 255 and (folder / prompt).is_file()


@dataclass(frozen=True, slots=True)
class _Named:
    """What a definition says of files."""

    prompt: str | None
    context: list[str]
    params: list[str]

    @classmethod
    def by(cls, pipeline: Pipeline) -> _Named:
        return cls(pipeline.transform.prompt, pipeline.transform.context, list(pipeline.params))


def _named_files(definition: Any) -> _Named:
    """What a definition with mistakes elsewhere says of files, so that theirs are reported with the others."""
    transform, params = (
        part if isinstance(part := definition.get(name), Mapping) else {} for name in ("transform", "params")
    )
    prompt, context = transform.get("prompt", transform.get("prompt_path")), transform.get("context")
    return _Named(
        prompt=prompt if isinstance(prompt, str) else None,
        context=[name for name in context if isinstance(name, str)] if isinstance(context, list) else [],
        params=[str(name) for name in params],
    )


class _Files:
    """The prompt and the context files of one pipeline."""

    def __init__(self, named: _Named, folder: Path, document: Document | None) -> None:
        self._named = named
        self._folder = folder
        self._document = document
        self._files: dict[str, str] = {}
        self._problems: list[Problem] = []

    def gather(self) -> tuple[dict[str, str], list[Problem]]:
        """Every file as text, and every mistake in naming or writing one."""
        for position, name in enumerate(self._named.context):
            at = ("transform", "context", position)
            self._read(name, at)
            self._say_if_twice(position, name, at)
        if self._named.prompt is not None:
            self._prompt(self._named.prompt)
        return self._files, self._problems

    def _prompt(self, prompt: str) -> None:
        places = self._document.places if self._document else {}
        at: KeyPath = ("transform", "prompt_path" if ("transform", "prompt_path") in places else "prompt")
        in_file = is_path(prompt, self._folder)
        text = self._read(prompt, at) if in_file else prompt
        if text is None:
            return
        names = [Path(name).stem for name in self._named.context]
        for mistake in check_prompt(text, names, self._named.params):
            if in_file:
                file = os.path.relpath(self._folder / prompt)
                problem = Problem((), mistake.found, mistake.expected, mistake.suggestion, file, mistake.line)
                self._problems.append(problem)
            else:
                self._say(at, f"{mistake.found} (line {mistake.line})", mistake.expected, mistake.suggestion)

    def _read(self, name: str, at: KeyPath) -> str | None:
        path = self._folder / name
        shown = os.path.relpath(path)
        if not path.is_file():
            self._say(at, f"{name!r}, which is not there", f"a file: {shown}", _neighbour(path, Path(name)))
            return None
        try:
            text = yaml_positions.read_text(path, shown)
        except InvalidDefinition as error:
            self._problems.extend(error.problems)
            return None
        self._files[name] = text
        return text

    def _say_if_twice(self, position: int, name: str, at: KeyPath) -> None:
        earlier = [other for other in self._named.context[:position] if Path(other).stem == Path(name).stem]
        if earlier:
            found = f"a second file that the prompt would see as `context.{Path(name).stem}`"
            self._say(at, found, f"another name than {earlier[0]!r} has")

    def _say(self, at: KeyPath, found: str, expected: str, suggestion: str | None = None) -> None:
        if self._document is not None:
            self._problems.append(self._document.problem(at, found, expected, suggestion))
        else:
            self._problems.append(Problem(at, found, expected, suggestion))


def _functions(document: Document, pipeline: Pipeline, folder: Path) -> list[Problem]:
    """Scorers, gates and Python functions that the pipeline names and that are not there."""
    transform, evaluate = pipeline.transform, pipeline.evaluate
    problems: list[Problem] = []

    def look(at: KeyPath, name: str, load_it: Callable[[], object], known: Iterable[str] = ()) -> None:
        try:
            load_it()
        except UserCodeError as error:
            near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
            words = f"a name that can be loaded ({str(error).rstrip('.?')})"
            problems.append(document.problem(at, repr(name), words, near[0] if near else None))

    if (function := transform.function) is not None:
        look(("transform", "function"), function, lambda: load_function(function, folder))
    if (scorer := transform.scorer) is not None:
        look(("transform", "scorer"), scorer, lambda: _find_scorer(scorer, folder), SCORERS)
    for position, evaluator in enumerate(evaluate.evaluators if evaluate else ()):
        if evaluator.type == "python":
            at = ("evaluate", "evaluators", position, "function")
            look(at, evaluator.function, partial(load_function, evaluator.function, folder))
    if evaluate is not None:
        gate = evaluate.quality_gate
        look(("evaluate", "quality_gate"), gate.type, lambda: gate_of(gate, folder), (*GATES, "weighted"))
    return problems


def _find_scorer(name: str, folder: Path) -> None:
    """Loom's own are loaded by the worker that needs them: a lexicon takes a while."""
    if name not in SCORERS:
        Scorers().get(name, folder)


def _neighbour(path: Path, written: Path) -> str | None:
    """`written` with the name of the file beside `path` that is most like it."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return None
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return str(written.with_name(matches[0])) if matches else None
