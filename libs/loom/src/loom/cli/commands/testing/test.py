"""Implements `loom test`, which tests pipelines by the files in their folders `tests`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loom.cli.commands.testing.forms import ReportForm
from loom.cli.options.common import AllowPath, ConfigPath, TargetName, Verbose, configuration


def test(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="Pipelines (by name or file), files of tests, or folders. Default: every pipeline of the project.",
        ),
    ] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="TEXT", help="Only tests whose name or file contains this text.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only tests that did not pass when they ran last.")] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            min=1,
            help="Let tests read the first N records of their sources. A pipeline without tests runs over them.",
        ),
    ] = None,
    repeat: Annotated[
        int,
        typer.Option("--repeat", metavar="N", min=1, max=1000, help="Run each test N times, and tell how flaky it is."),
    ] = 1,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the models for every answer, whatever is recorded. This costs money.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Ask the models for answers that are not recorded, and record them; with --live, all. Also stores "
            "baselines.",
        ),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=0, max=1e6, help="What the calls of all tests may cost together."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY=VALUE", help="Set a parameter of the pipelines. May be given again."),
    ] = None,
    form: Annotated[
        ReportForm,
        typer.Option("--format", help="What is printed: `table` for people; the others are one document on stdout."),
    ] = ReportForm.TABLE,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Also write the report: JUnit into FILE.xml, JSON into .json, Markdown into .md. May be given again.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run the tests again whenever a file that they use changes, until Ctrl-C.")
    ] = False,
    generate: Annotated[
        bool,
        typer.Option(
            "--generate", help="Run nothing: print tests that are proposed from records that earlier runs kept back."
        ),
    ] = False,
    allow_path: AllowPath = None,
    config: ConfigPath = None,
    target: TargetName = None,
    verbose: Verbose = False,
) -> None:
    """Test pipelines with the tests in the folder `tests` beside them.

    Answers of models come from recordings beside the tests, or from the project's journal: without --live and --update
    no model is called, and nothing is paid. State and destination are temporary, so no run of the project is touched.

    Exit codes: 0 all tests passed, 1 a test failed, 2 a test or a file of tests could not be run, 130 interrupted."""
    from loom.cli.commands import follow
    from loom.cli.commands.run import params_of
    from loom.cli.commands.testing import shown, watching
    from loom.testing import last_failed
    from loom.testing.running.options import Options

    settings = configuration(config, target=target).allowing(allow_path or ())
    files = shown.forms_of(report or [])
    if generate:
        follow.wait_for(shown.print_proposals(targets or [], settings))
        return
    options = Options(
        live=live,
        update=update,
        sample=sample,
        repeat=repeat,
        budget=budget,
        params=params_of(param or []),
        filter=filter_,
        failed=last_failed.failed(settings) if failed else None,
    )

    def once() -> int:
        found = follow.wait_for(shown.carried_out(targets or [], settings, options, form, verbose=verbose))
        shown.write(found, files)
        last_failed.remember(settings, found)
        return found.exit_code

    raise typer.Exit(watching.watched(once, lambda: shown.files_of(targets or [], settings)) if watch else once())
