"""`loom validate`: every mistake at once, and whether what a pipeline needs is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.forms import Format
from loom.cli.options import ConfigPath, Form, Verbose, configuration

if TYPE_CHECKING:
    from loom.checks import Check
    from loom.config import LoomConfig
    from loom.definition_file import LoadedPipeline
    from loom_common.errors import Problem


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pipeline files.")],
    config: ConfigPath = None,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Check pipeline files and what they need. Exits with 0, or 2.

    Reports every mistake at once; then looks for credentials, source and destination, and prints the destination's
    guarantee: what it makes of a batch that arrives twice."""
    from loom.cli import running, terminal

    settings = configuration(config)
    results = [running.wait_for(_result(file, settings)) for file in files]
    if form is Format.JSON:
        terminal.print_json(results)
    else:
        for result in results:
            _print(result)
    raise typer.Exit(0 if all(result["valid"] for result in results) else 2)


async def refuse_unready(loaded: LoadedPipeline, config: LoomConfig, params: Mapping[str, Any]) -> int | None:
    """The same checks before a run; gives how many records there are, where that is known.

    Raises `ConfigurationError` with what is not ready."""
    from loom import checks
    from loom_common.errors import ConfigurationError

    looked = await checks.check(loaded, config, dict(params))
    failed = [check.detail for check in looked if not check.ok]
    if failed:
        raise ConfigurationError("\n".join(failed))
    return next((check.records for check in looked if check.what == "source"), None)


def print_dry_run(found: LoadedPipeline | str, form: Format) -> None:
    """Say what would run, and that everything was found in order. A registered pipeline is known by its name alone."""
    from loom.cli import terminal

    if form is Format.TABLE:
        what = f"The registered pipeline {found}" if isinstance(found, str) else summary(found)
        terminal.say(f"{what}. Everything is in order; nothing was run (--dry-run).")
        return
    name, version = (found, None) if isinstance(found, str) else (found.pipeline.name, found.pipeline.version)
    terminal.print_json({"pipeline": name, "version": version, "valid": True, "ran": False})


def summary(loaded: LoadedPipeline) -> str:
    """A pipeline in one line: what transforms, how many evaluators judge, by which gate."""
    pipeline = loaded.pipeline
    transform, evaluate = pipeline.transform, pipeline.evaluate
    what = transform.model or transform.scorer or transform.function
    judged = f"{len(evaluate.evaluators)} evaluators, {evaluate.quality_gate.type}" if evaluate else "no evaluators"
    if evaluate and len(evaluate.evaluators) == 1:
        judged = f"1 evaluator, {evaluate.quality_gate.type}"
    return f"{pipeline.name} {pipeline.version}: {transform.type}{f' {what}' if what else ''}, {judged}"


async def _result(file: Path, config: LoomConfig) -> dict[str, Any]:
    from loom import checks, definition_file
    from loom_common.errors import InvalidDefinition

    try:
        loaded = definition_file.load(file, config.applied_to)
    except InvalidDefinition as error:
        return {"file": str(file), "valid": False, "problems": [_plain(one) for one in error.problems], "checks": []}
    looked = await checks.check(loaded, config)
    return {
        "file": str(file),
        "pipeline": loaded.pipeline.name,
        "version": loaded.pipeline.version,
        "summary": summary(loaded),
        "valid": all(check.ok for check in looked),
        "problems": [],
        "checks": [_checked(check) for check in looked],
    }


def _plain(problem: Problem) -> dict[str, Any]:
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


def _checked(check: Check) -> dict[str, Any]:
    return {"check": check.what, "ok": check.ok, "detail": check.detail}


def _print(result: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from loom.cli import terminal

    console = terminal.stdout()
    marks = terminal.symbols(console)
    console.print(Text(result.get("summary") or result["file"], style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    if "pipeline" in result:
        grid.add_row(f"  {marks.good}", "definition", Text(result["file"]))
    for check in result["checks"]:
        style = "green" if check["ok"] else "red"
        grid.add_row(
            Text(f"  {marks.good if check['ok'] else marks.bad}", style), check["check"], Text(check["detail"])
        )
    for problem in result["problems"]:
        grid.add_row(Text(f"  {marks.bad}", "red"), Text(problem["message"]))
    console.print(grid)
