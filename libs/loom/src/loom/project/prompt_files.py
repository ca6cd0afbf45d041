"""Collects the prompts, examples, context files, calibrators and cascade files that a definition names: they travel
with a run, as text."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loom.project import yaml_positions
from loom.project.yaml_positions import Document, KeyPath
from loom_common.allowed_paths import AllowedPaths
from loom_common.domain.checks import calibrator, cascade_file
from loom_common.domain.definition.transforms.embed import embedded_text
from loom_common.domain.definition.transforms.kinds import asks_models
from loom_common.domain.question.files import SUFFIXES, names_a_file
from loom_common.domain.question.written import examples_in, in_a_file, prompt_in, templates_beside
from loom_common.domain.section import items, said
from loom_common.domain.steps.views import definitions_by_step, has_steps, relocated
from loom_common.errors import InvalidDefinition, PathNotAllowed, Problem

_EXAMPLES: KeyPath = ("transform", "examples", "file")


@dataclass(frozen=True, slots=True)
class PromptText:
    """Holds a prompt, and tells where it is written."""

    text: str
    at: KeyPath
    """Holds the key of the prompt in the definition."""
    file: str | None
    """The file it stands in, as it may be shown; None where it stands in the definition itself."""
    document: Document | None
    beside: tuple[PromptText, ...] = ()
    """The other templates of the question: the system prompt, and the turns in front of the prompt."""

    @property
    def whole(self) -> str:
        """Return the texts of all templates."""
        return "\n".join(each.text for each in (self, *self.beside))

    def problem(
        self, line: int, column: int | None, found: str, expected: str, suggestion: str | None = None
    ) -> Problem:
        """Return a mistake at a 1-based line and column of the text."""
        if self.file is not None:
            return Problem((), found, expected, suggestion, self.file, line, column)
        if self.document is None:
            return Problem(self.at, f"{found} (line {line})", expected, suggestion)
        place = self.document.locate_in(self.at, line, column)
        if place == self.document.locate(self.at):
            found = f"{found} (line {line})"
        return Problem(self.at, found, expected, suggestion, *place)


def is_path(prompt: str, folder: Path) -> bool:
    """Tell whether `prompt` names a file: one of that name exists, or it has no whitespace and no braces."""
    if not any(mark in prompt for mark in " \n\t{}"):
        return True
    return "\n" not in prompt and len(prompt) < 255 and (folder / prompt).is_file()


def is_turn_in_file(text: str, folder: Path) -> bool:
    """Tell whether a system prompt or the content of a turn names a file, which it does by its ending."""
    return names_a_file(text) or (Path(text).suffix.lower() in SUFFIXES and is_path(text, folder))


class PromptFiles:
    """Reads the files of one definition, which may have mistakes elsewhere."""

    def __init__(
        self, definition: Mapping[str, Any], folder: Path, document: Document | None, allowed: Sequence[Path] = ()
    ) -> None:
        """`allowed` are the folders and files besides `folder` that paths may lead to."""
        self._paths = AllowedPaths.of(*allowed, folder)
        transform = said(definition, "transform") if asks_models(said(definition, "transform")) else None
        params = said(definition, "params")
        self._transform = transform
        self._embedded = embedded_text(said(definition, "transform"))
        self._written = prompt_in(transform)
        self._examples = examples_in(transform)
        self._context = [name for name in items(transform, "context") if isinstance(name, str)]
        self._calibrators = list(calibrator.named_in(definition))
        self._cascades = list(cascade_file.named_in(definition))
        self._params = [str(name) for name in params] if isinstance(params, Mapping) else []
        self._has_ontology = said(definition, "ontology") is not None
        self._folder = folder
        self._document = document
        self._problems: list[Problem] = []
        self.texts: dict[str, str] = {}
        """Every file by the path that the definition names it with."""
        self.prompt: PromptText | None = None
        """None where there is none, or it cannot be read."""

    def read(self) -> list[Problem]:
        """Read every file. Gives every mistake in naming or writing one."""
        for position, name in enumerate(self._context):
            at = ("transform", "context", position)
            self._read(name, at)
            self._say_if_twice(position, name, at)
        beside = [made for at, text in templates_beside(self._transform) if (made := self._template(text, at))]
        if self._written is not None:
            place, prompt = self._written
            in_file = None if place[1] == "messages" else is_path(prompt, self._folder)
            made = self._template(prompt, place, in_file=in_file)
            self.prompt = None if made is None else replace(made, beside=tuple(beside))
        if self._embedded is not None:
            self.prompt = self._template(self._embedded, ("transform", "text"), in_file=False)
        if self._examples is not None:
            self._read_examples(self._examples)
        for place, name in self._calibrators:
            self._read_values(name, place, calibrator.parsed, "a calibrator")
        for place, name in self._cascades:
            self._read_values(name, place, cascade_file.parsed, "a cascade file")
        return self._problems

    def _read_values(self, name: str, at: KeyPath, parsed: Callable[[str], object], what: str) -> None:
        text = self._read(name, at)
        if text is None:
            return
        try:
            parsed(text)
        except ValueError as error:
            self._say(at, f"{name!r}", f"{what} that can be used ({error})")

    def _template(self, written: str, at: KeyPath, *, in_file: bool | None = None) -> PromptText | None:
        if in_file is None:
            in_file = in_a_file(at) and is_turn_in_file(written, self._folder)
        text = self._read(written, at) if in_file else written
        if text is None:
            return None
        file = os.path.relpath(self._folder / written) if in_file else None
        made = PromptText(text, at, file, self._document)
        from loom_common.domain.prompts.prompt import EXAMPLES, ONTOLOGY
        from loom_common.domain.prompts.prompt_check import check_prompt

        names = [Path(name).stem for name in self._context]
        beside: tuple[str, ...] = getattr(self._transform, "beside", ())
        also = (*beside, *(() if self._examples is None else (EXAMPLES,)), *((ONTOLOGY,) if self._has_ontology else ()))
        self._problems += [
            made.problem(each.line, each.column, each.found, each.expected, each.suggestion)
            for each in check_prompt(text, names, self._params, also)
        ]
        return made

    def _read_examples(self, name: str) -> None:
        section = said(self._transform, "examples")
        text = self._read(name, ("transform", "examples") if isinstance(section, str) else _EXAMPLES)
        if text is None:
            return
        from loom_common.domain.checks.examples_check import example_mistakes

        prompt = self.prompt
        templates = [] if prompt is None else [each.text for each in (prompt, *prompt.beside)]
        shown = os.path.relpath(self._folder / name)
        self._problems += [
            Problem((), each.found, each.expected, None, shown, each.line)
            for each in example_mistakes(text, name, self._transform, templates)
        ]

    def _read(self, name: str, at: KeyPath) -> str | None:
        path = self._folder / name
        shown = os.path.relpath(path)
        try:
            path = self._paths.real(path)
        except PathNotAllowed as error:
            self._say(at, f"{name!r}", f"a file of the project ({str(error).rstrip('.')})")
            return None
        if not path.is_file():
            self._say(at, f"{name!r}, which is not there", f"a file: {shown}", neighbour(path, Path(name)))
            return None
        try:
            text = yaml_positions.read_text(path, shown)
        except InvalidDefinition as error:
            self._problems.extend(error.problems)
            return None
        self.texts[name] = text
        return text

    def _say_if_twice(self, position: int, name: str, at: KeyPath) -> None:
        earlier = [other for other in self._context[:position] if Path(other).stem == Path(name).stem]
        if earlier:
            found = f"a second file that the prompt would see as `context.{Path(name).stem}`"
            self._say(at, found, f"another name than {earlier[0]!r} has")

    def _say(self, at: KeyPath, found: str, expected: str, suggestion: str | None = None) -> None:
        if self._document is not None:
            self._problems.append(self._document.problem(at, found, expected, suggestion))
        else:
            self._problems.append(Problem(at, found, expected, suggestion))


@dataclass(frozen=True, slots=True)
class FilesRead:
    """Holds the files of a definition, and the mistakes in naming or writing them."""

    problems: list[Problem]
    texts: dict[str, str]
    """Every file by the path that the definition names it with."""
    prompt: PromptText | None
    """The prompt; of several steps that of the first, with all others beside it. None where there is none, or it cannot
    be read."""


def files_of(
    definition: Mapping[str, Any], folder: Path, document: Document, allowed: Sequence[Path] = ()
) -> FilesRead:
    """Read the files of a definition, step by step where its transform has steps."""
    whole = PromptFiles(definition, folder, document, allowed)
    problems, texts, prompts = whole.read(), dict(whole.texts), [] if whole.prompt is None else [whole.prompt]
    if not has_steps(said(definition, "transform")):
        return FilesRead(problems, texts, whole.prompt)
    for place, alone in definitions_by_step(definition):
        files = PromptFiles(alone, folder, document.seen_from(place), allowed)
        problems += [replace(each, path=relocated(place, each.path)) for each in files.read()]
        texts.update(files.texts)
        if files.prompt is not None:
            prompts += [
                replace(each, at=relocated(place, each.at), document=document, beside=())
                for each in (files.prompt, *files.prompt.beside)
            ]
    first = replace(prompts[0], beside=tuple(prompts[1:])) if prompts else None
    return FilesRead(problems, texts, first)


def neighbour(path: Path, written: Path) -> str | None:
    """Return `written` with the name of the file beside `path` that is most like it."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return None
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return str(written.with_name(matches[0])) if matches else None
