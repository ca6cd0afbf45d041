"""Checks definitions and what they need, and reports every mistake at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom.preflight import broken_files, checks
from loom.preflight.engine_check import checked_engine
from loom.project import catalog, definition_file, dependencies
from loom.project.config import LoomConfig
from loom.project.definition_file import InvalidFile, LoadedPipeline
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError, InvalidDefinition, Problem

if TYPE_CHECKING:
    from loom.requests.runs import Say
    from loom_common.contracts.v1 import Preflight
    from loom_common.domain.checks.columns import ColumnRow
    from loom_common.domain.schema.ahead import ExpectedDrift


@dataclass(frozen=True, slots=True)
class Validation(Shown):
    """Says what was found of a definition, and of what it needs."""

    file: Path
    loaded: LoadedPipeline | None
    """None where the definition has mistakes."""
    problems: Sequence[Problem]
    """Every mistake, in the order of their places."""
    checks: Sequence[Check]
    columns: Sequence[ColumnRow] | None
    """Says how the columns fit; None where nobody asked."""
    drift: Sequence[ExpectedDrift] = ()
    """Says how records differ from the stored versions of their schemas, stage by stage."""

    @property
    def valid(self) -> bool:
        """Tell whether a run may begin."""
        return not self.problems and all(check.ok for check in self.checks)

    @property
    def summary(self) -> str | None:
        """Describe the pipeline in one line; None where it cannot be read."""
        return None if self.loaded is None else summary(self.loaded)

    def as_json(self) -> dict[str, Any]:
        """Return the document of `loom validate --format json`."""
        result: dict[str, Any] = {"file": str(self.file)}
        if self.columns is not None:
            result["columns"] = [asdict(row) for row in self.columns]
        if self.loaded is not None:
            pipeline = self.loaded.pipeline
            result |= {"pipeline": pipeline.name, "version": pipeline.version, "target": pipeline.target}
            result["summary"] = self.summary
        return result | {
            "valid": self.valid,
            "problems": [placed(problem) for problem in self.problems],
            "drift": [each.model_dump() for each in self.drift],
            "checks": [
                {"check": check.what, "ok": check.ok, "doubtful": check.doubtful, "detail": check.detail}
                for check in self.checks
            ],
        }


async def validate(
    read: Callable[[], LoadedPipeline],
    file: Path,
    config: LoomConfig,
    *,
    connect: bool = False,
    offline: bool = False,
) -> Validation:
    """Check the definition that `read` reads, which raises `InvalidDefinition`, and what it needs. `connect`: also try
    the models' endpoints and the journal. `offline`: look for no credential, source and destination."""
    loaded: LoadedPipeline | None = None
    problems: list[Problem] = []
    looked: list[Check] = []
    drift: Sequence[ExpectedDrift] = ()
    try:
        loaded = read()
        problems += dependencies.problems(loaded.document, loaded.definition, config)
        problems += catalog.strange_names(config, [loaded.pipeline.name])
        looked = checks.of_the_files(loaded) if offline else await checks.check(loaded, config)
        if not offline:
            looked += checked_engine(config)
        if connect:
            from loom.preflight import reachability

            looked += [*await reachability.models(loaded.pipeline, config), *await reachability.journal(config)]
        from loom.requests import expected_drift

        if not offline:
            drift, compared = await expected_drift.compared(loaded, config, looked, connect=connect)
            looked += compared
    except InvalidFile as error:
        looked = [] if offline else await broken_files.further(error, config)
        problems += [*error.problems, *dependencies.problems(error.document, error.definition, config)]
    except InvalidDefinition as error:
        problems += error.problems
    problems += [problem for check in looked for problem in check.problems]
    fit = None
    if loaded is not None and connect:
        fit = _columns(loaded, looked)
    return Validation(file, loaded, definition_file.in_order(problems, file), looked, fit, drift)


async def refuse_unready(
    loaded: LoadedPipeline,
    config: LoomConfig,
    params: Mapping[str, Any],
    *,
    sample: bool,
    wait: bool,
    say: Say,
    given: bool = False,
    taken: bool = False,
) -> tuple[Preflight, int | None]:
    """Make the same checks before a run; return what was found, and how many records there are, where that is known.
    With `given`, the run reads records that are given to it, and its source is not looked at; with `taken`, whoever
    starts it takes its rows, and its destination is not. With `wait`, what is only away may come back while the run
    waits for it. `say` is told what a run does about columns that do not fit. Raises
    `ConfigurationError` with what is not ready."""
    from loom.preflight import reachability
    from loom_common.contracts.v1 import Preflight, PreflightCheck, PreflightColumn
    from loom_common.domain.checks.columns import differing

    looked = await checks.check(loaded, config, dict(params), sample=sample, given=given, taken=taken)
    looked += await reachability.journal(config)
    rows = _columns(loaded, looked)
    for row in differing(rows):
        there = f" ({row.written} into {row.there})" if row.written and row.there else ""
        say(f"Column {row.column}{there}: {row.done}.")
    standing = [check for check in looked if not check.ok and not (wait and check.away)]
    if failed := [words for check in standing for words in check.words]:
        raise ConfigurationError("\n".join(failed))
    found = Preflight(checks=tuple(map(PreflightCheck.of, looked)), columns=tuple(map(PreflightColumn.of, rows)))
    return found, next((check.records for check in looked if check.what == "source"), None)


def refuse_wrong_targets(config: LoomConfig) -> None:
    """Read every pipeline of the project for each of its targets. Raises `InvalidDefinition` with the mistakes that
    stand in `loom.yaml`; those of a pipeline's own file are for `loom validate`."""
    problems = list(catalog.strange_names(config))
    for target in config.targets:
        chosen = config.for_target(target)
        for entry in catalog.entries(config):
            try:
                definition_file.load(entry.path, chosen.applied_to, chosen.allowed)
            except InvalidDefinition as error:
                problems += [each for each in error.problems if each.file is not None and chosen.is_its(each.file)]
    if problems:
        raise InvalidDefinition(sorted(dict.fromkeys(problems), key=lambda each: (each.line or 0, each.column or 0)))


async def every_mistake(error: InvalidFile, config: LoomConfig) -> ConfigurationError:
    """Return the mistakes of a file, and of its source and destination as far as they can be read."""
    looked = await broken_files.further(error, config)
    return ConfigurationError("\n".join([str(error), *(words for check in looked for words in check.words)]))


def _columns(loaded: LoadedPipeline, looked: Sequence[Check]) -> list[ColumnRow]:
    """Return every column of the source, the output and the destination, as far as the checks saw them."""
    from loom_common.domain.checks.columns import prompted_fields, rows_of, with_fits

    fields = next((check.fields for check in looked if check.fields is not None), None)
    fits = [fit for check in looked if check.what == "destination" for fit in check.fits]
    asks = loaded.prompt is not None and isinstance(loaded.pipeline.transform, AiTransformConfig)
    prompt = loaded.prompt.whole if loaded.prompt is not None and asks else None
    return with_fits(rows_of(loaded.pipeline, loaded.definition, prompt, fields), fits, prompted_fields(prompt))


def summary(loaded: LoadedPipeline) -> str:
    """Describe a pipeline in one line: what transforms, how many evaluators judge, by which gate."""
    pipeline = loaded.pipeline
    transform, evaluate = pipeline.transform, pipeline.evaluate
    what = transform.made_by
    judged = "no evaluators"
    if evaluate:
        judged = f"{counted(len(evaluate.evaluators), 'evaluator')}, {evaluate.quality_gate.type}"
    target = "" if pipeline.target is None else f" for {pipeline.target}"
    added = "" if loaded.added is None else f". {loaded.added.removesuffix('.')}"
    return f"{pipeline.name} {pipeline.version}{target}: {transform.type}{f' {what}' if what else ''}, {judged}{added}"


def placed(problem: Problem) -> dict[str, Any]:
    """Return a mistake with its place, as JSON values."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "found": problem.found,
        "expected": problem.expected,
        "suggestion": problem.suggestion,
        "message": str(problem),
    }
