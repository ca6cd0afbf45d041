"""Reads a pipeline file: read with the places of its keys, and with the prompts and context files that travel with
it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loom.project import yaml_positions
from loom.project.named_code import code_problems
from loom.project.parameters import parameter_problems
from loom.project.prompt_files import PromptText, files_of, neighbour
from loom.project.yaml_positions import Document
from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.section import said
from loom_common.domain.steps.registered.adding import added_steps
from loom_common.errors import InvalidDefinition, Problem

Fill = Callable[[Document], Document]
"""Puts into a definition what its project says of it: `LoomConfig.applied_to`."""


def as_written(document: Document) -> Document:
    """Return the document of a file that is in no project."""
    return document


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """Holds a pipeline file without mistakes."""

    pipeline: Pipeline
    definition: dict[str, Any]
    """Holds JSON values: what a run request carries."""
    files: dict[str, str]
    """Prompt and context files by the path the pipeline names them with, as text."""
    path: Path
    document: Document
    """The file with what its project says of it, and the place of each key."""
    prompt: PromptText | None = None

    @property
    def folder(self) -> Path:
        """Tell where the pipeline's relative paths start."""
        return self.path.resolve().parent

    @property
    def added(self) -> str | None:
        """Say which steps the pipeline has beside those that its file names; None where it has no others."""
        written, made = (said(each, "transform") for each in (self.document.data, self.definition))
        if not (added := added_steps(written, made)):
            return None
        named = ", ".join(f"{name} (for {asking})" for name, asking in added)
        return f"Added, because others depend on them: {named}."


def placed(error: InvalidDefinition, document: Document) -> InvalidDefinition:
    """Place mistakes that were found without the file, e.g. by a connector in its options, in the file."""
    problems = []
    for problem in error.problems:
        file, line, column = document.locate(problem.path)
        problems.append(replace(problem, file=file, line=line, column=column))
    return InvalidDefinition(problems)


class InvalidFile(InvalidDefinition):
    """Reports a pipeline file with mistakes, and holds all that can be read of it, with which further mistakes may be
    found."""

    def __init__(
        self,
        problems: Sequence[Problem],
        document: Document,
        definition: Mapping[str, Any],
        path: Path,
        prompt: PromptText | None,
    ) -> None:
        super().__init__(problems)
        self.document = document
        self.definition = definition
        """Has the project's defaults where it is silent."""
        self.path = path
        self.prompt = prompt


def load(path: Path, fill: Fill = as_written, allowed: Sequence[Path] = ()) -> LoadedPipeline:
    """Read a pipeline file, which may name files of its folder and of those that are `allowed` besides. Raises
    `InvalidDefinition` with every mistake in it and in the files it names."""
    shown = os.path.relpath(path)
    if os.path.isdir(path):  # noqa: PTH112 - also where no file can have such a name, as below
        raise InvalidDefinition([Problem((), "a folder", "a pipeline file", file=shown)])
    if not os.path.exists(path):  # noqa: PTH110 - as above
        near = neighbour(path, path)
        expected = "the path of a pipeline file, or a pipeline's name"
        raise InvalidDefinition([Problem((), "no such file", expected, near, file=shown)])
    return read(yaml_positions.read_text(path, shown), path, fill, allowed)


def read(text: str, path: Path, fill: Fill = as_written, allowed: Sequence[Path] = ()) -> LoadedPipeline:
    """Read the text of a pipeline file that lies at `path`, or would lie there. Raises as `load` does."""
    written = yaml_positions.parse(text, os.path.relpath(path))
    document, folder = fill(written), path.resolve().parent
    problems: list[Problem] = [*document.problems, *_own_target(written, document)]
    pipeline = None
    try:
        pipeline = parse(document.data, document.locate)
    except InvalidDefinition as error:
        problems += error.problems
    files = files_of(document.data, folder, document, allowed)
    problems += files.problems
    problems += parameter_problems(document, document.data)
    problems += code_problems(document, document.data, folder, AllowedPaths.of(*allowed, folder))
    problems += _of_ontology(document, folder)
    if problems or pipeline is None:
        raise InvalidFile(in_order(problems, path), document, document.data, path, files.prompt)
    definition = pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True)
    made, texts = _with_ontology(definition, files.texts, folder)
    pipeline = parse(made) if made != definition else pipeline
    return LoadedPipeline(pipeline, made, texts, path, document, files.prompt)


def _with_ontology(
    definition: dict[str, Any], files: dict[str, str], folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a definition and its files with the ontology that it names. Raises `InvalidDefinition`."""
    if definition.get("ontology") is None:
        return definition, files
    from loom_common.ontologies.applying import carried

    made, texts, problems = carried(definition, files, folders_of(folder))
    if problems:
        raise InvalidDefinition(problems)
    return made, texts


def _of_ontology(document: Document, folder: Path) -> list[Problem]:
    """Return what is wrong with the ontology that a file names, with the places."""
    if document.data.get("ontology") is None:
        return []
    from loom_common.ontologies.applying import carried

    _, _, problems = carried(document.data, {}, folders_of(folder))
    return [document.problem(each.path, each.found, each.expected, each.suggestion) for each in problems]


def folders_of(folder: Path) -> list[Path]:
    """Return the folders in whose `ontologies` a pipeline finds those of its own: its own folder, and that of its
    project."""
    project = next((each for each in (folder, *folder.parents) if (each / "loom.yaml").is_file()), folder)
    return list(dict.fromkeys((folder, project)))


def _own_target(written: Document, document: Document) -> list[Problem]:
    """Refuse a target that the file itself names, unless it is the one that the file was rendered for."""
    own = written.data.get("target")
    if own is None or own == document.data.get("target"):
        return []
    expected = "no `target`: Loom writes it. `--target`, LOOM_TARGET or `default_target` in loom.yaml chooses one"
    return [written.problem(("target",), repr(own), expected)]


def in_order(problems: Iterable[Problem], path: Path) -> list[Problem]:
    """Return the problems of the pipeline's file first, each once, in the order of their places."""
    shown = os.path.relpath(path)
    distinct = list(dict.fromkeys(problems))
    return sorted(distinct, key=lambda each: (each.file != shown, each.file or "", each.line or 0, each.column or 0))


def built(definition: dict[str, Any], path: Path, allowed: Sequence[Path] = ()) -> LoadedPipeline:
    """Return a pipeline that was built in Python, or changed there, with the prompt and context files that it names.
    `path` is that of its file, or of one that it could have. Raises `InvalidDefinition`."""
    document = Document("", definition, {})
    files = files_of(definition, path.resolve().parent, document, allowed)
    if files.problems:
        raise InvalidDefinition(files.problems)
    made, texts = _with_ontology(definition, files.texts, path.resolve().parent)
    return LoadedPipeline(parse(made), made, texts, path, document, files.prompt)
