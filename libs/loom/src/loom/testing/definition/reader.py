"""Reads files of tests, with every mistake placed, and finds them: beside pipelines, in folders named `tests`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loom.project import catalog, definition_file, yaml_positions
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.project.prompt_files import neighbour
from loom.project.yaml_positions import Document
from loom.testing.definition.suite import Case, IntegrationCase, Suite
from loom_common.domain.definition.reader import validated
from loom_common.errors import ConfigurationError, InvalidDefinition, NotFound, Problem

FOLDER = "tests"
_SUFFIXES = (".yaml", ".yml")
_SUITE = re.compile(r"(?m)^tests:")
_NAMED = re.compile(r"""(?m)^pipeline:[ ]*["']?(?P<file>[^"'#\n]+)""")
"""Finds which pipeline a file names, without reading all of it."""


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """Holds a file of tests without mistakes, and the pipeline that it tests."""

    path: Path
    suite: Suite
    loaded: LoadedPipeline
    document: Document

    @property
    def folder(self) -> Path:
        """Return the folder of the tests, where their relative paths start."""
        return self.path.resolve().parent

    @property
    def cassette(self) -> Path:
        """Return the file of recorded answers."""
        return self.folder / "cassettes" / f"{self.path.stem}.json"

    @property
    def baselines(self) -> Path:
        """Return the file of stored baselines."""
        return self.folder / "baselines" / f"{self.path.stem}.json"

    def line_of(self, case: Case) -> int | None:
        """Return the line where a test begins."""
        position = self.suite.tests.index(case)
        return self.document.locate(("tests", position))[1]


def load(path: Path, config: LoomConfig) -> LoadedSuite:
    """Read a file of tests and its pipeline. Raises `InvalidDefinition` with every mistake in the first of them that
    has any."""
    shown = os.path.relpath(path)
    if path.is_dir() or not path.exists():
        raise InvalidDefinition([Problem((), "no such file", "a file of tests", file=shown)])
    document = yaml_positions.parse(yaml_positions.read_text(path, shown), shown)
    suite = validated(Suite, document.data, document.locate)
    file = _pipeline_of(path, suite, document)
    loaded = definition_file.load(file, config.applied_to, config.allowed)
    _refuse_strange_params(suite, loaded, document)
    return LoadedSuite(path, suite, loaded, document)


def find(targets: Sequence[str], config: LoomConfig) -> list[Path]:
    """Return the files of tests that are meant: files, folders, pipeline files and names of pipelines; without any, the
    tests of every pipeline of the project. Raises `ConfigurationError` where one means nothing."""
    if not targets:
        pipelines = [entry.path for entry in catalog.entries(config)]
        return _distinct(file for path in pipelines for file in beside(path))
    found: list[Path] = []
    for target in targets:
        found += _meant(target, config)
    return _distinct(found)


def beside(pipeline: Path) -> list[Path]:
    """Return the files of tests of a pipeline: those in the folder `tests` beside it that do not name another one."""
    folder = pipeline.resolve().parent / FOLDER
    return [path for path in _in_folder(folder) if _tests(path, pipeline)]


def pipelines(targets: Sequence[str], config: LoomConfig) -> list[LoadedPipeline]:
    """Return the pipelines that are meant, by name or file. Raises `ConfigurationError` where one means none."""
    return [catalog.find_file(target, config) for target in targets]


def _meant(target: str, config: LoomConfig) -> list[Path]:
    path = Path(target)
    if path.is_dir():
        inner = [path] if path.name == FOLDER else [path / FOLDER, *sorted(path.glob(f"*/{FOLDER}"))]
        files = [file for each in inner for file in _in_folder(each)]
        if not files:
            raise NotFound(f"{target} has no tests: write tests/NAME.yaml beside a pipeline in it.")
        return files
    if path.suffix in _SUFFIXES and path.is_file() and _is_suite(path):
        return [path]
    return beside(catalog.find_file(target, config).path)


def _in_folder(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file())


def _is_suite(path: Path) -> bool:
    """Tell whether a file is one of tests. One in a folder of that name is, so that its mistakes are reported."""
    return path.resolve().parent.name == FOLDER or _SUITE.search(_text(path)) is not None


def _tests(path: Path, pipeline: Path) -> bool:
    """Tell whether the file tests this pipeline, as far as it can be read: another one's mistakes are its own."""
    named = _NAMED.search(_text(path))
    if named is None:
        return len(_pipelines_in(path.resolve().parent.parent)) <= 1
    file = (path.resolve().parent / named["file"].strip()).resolve()
    return file == pipeline.resolve() or not file.is_file()


def _text(path: Path) -> str:
    try:
        return yaml_positions.read_text(path, str(path))
    except InvalidDefinition:
        return ""


def _pipeline_of(path: Path, suite: Suite, document: Document) -> Path:
    folder = path.resolve().parent
    if suite.pipeline is not None:
        file = folder / suite.pipeline
        if not file.is_file():
            near = neighbour(file, file)
            expected = "the path of a pipeline file, from the folder of this file"
            raise InvalidDefinition([document.problem(("pipeline",), f"'{suite.pipeline}', no file", expected, near)])
        return Path(os.path.relpath(file))
    candidates = _pipelines_in(folder.parent)
    if len(candidates) != 1:
        names = ", ".join(file.name for file in candidates) or "none"
        expected = f"`pipeline: ../FILE`, because the folder above has not one pipeline file but {names}"
        raise InvalidDefinition([document.problem((), "no `pipeline`", expected)])
    return Path(os.path.relpath(candidates[0]))


def _pipelines_in(folder: Path) -> list[Path]:
    return [path for path in _in_folder(folder) if catalog.is_pipeline(path)]


def _refuse_strange_params(suite: Suite, loaded: LoadedPipeline, document: Document) -> None:
    """Raise `InvalidDefinition` for parameters that the pipeline does not have."""
    known = loaded.pipeline.params
    places = [("params", name) for name in suite.params]
    places_in_tests = [
        ("tests", position, "params", name) for position, case in enumerate(suite.tests) for name in case.params
    ]
    wrong = [place for place in [*places, *places_in_tests] if place[-1] not in known]
    if wrong:
        names = ", ".join(known) or "none"
        expected = f"a parameter of {loaded.pipeline.name}: {names}"
        raise InvalidDefinition([document.problem(place, f"'{place[-1]}'", expected) for place in wrong])


def _distinct(files: Iterable[Path]) -> list[Path]:
    by_place = {path.resolve(): path for path in files}
    return [Path(os.path.relpath(path)) for path in by_place]


def none_found(targets: Sequence[str]) -> ConfigurationError:
    """Return the error where no tests were found."""
    named = f" of {', '.join(targets)}" if targets else " in this project"
    return ConfigurationError(
        f"There are no tests{named}. Write tests/NAME.yaml beside the pipeline file, have `loom test --generate` "
        "propose some from the records of earlier runs, or try it over a sample: `loom test NAME --sample 10`."
    )


def implicit(loaded: LoadedPipeline, sample: int) -> LoadedSuite:
    """Return the test of a pipeline that has no file of tests: it runs over a sample of its source, and succeeds."""
    case = IntegrationCase(
        type="integration", name=f"runs over {sample} records", sample=sample, destination="out.jsonl"
    )
    suite = Suite.model_construct(pipeline=None, params={}, redact=[], tests=[case])
    path = loaded.folder / FOLDER / f"{loaded.path.stem}.yaml"
    return LoadedSuite(path, suite, loaded, replace(loaded.document, file=""))
