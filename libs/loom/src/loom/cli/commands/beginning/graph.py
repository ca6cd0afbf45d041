"""Implements `loom graph`, which draws the steps of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from loom.cli.options.common import AllowPath, ConfigPath, TargetName, Verbose, configuration


class Drawing(StrEnum):
    """Lists how a graph may be drawn."""

    ASCII = "ascii"
    MERMAID = "mermaid"
    JSON = "json"


def graph(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline file.")],
    form: Annotated[Drawing, typer.Option("--format", help="`mermaid` for documents, `json` for programs.")] = (
        Drawing.ASCII
    ),
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="RUN", help="Show how many records each step of this run saw, so far."),
    ] = None,
    allow_path: AllowPath = None,
    config: ConfigPath = None,
    target: TargetName = None,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Draw the steps of a pipeline, and what each needs. Exits with 0, or 2 where the file has mistakes.

    Steps between the same two lines begin at the same moment. Nothing is run."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.project import definition_file
    from loom.project.run_state import no_run
    from loom_common.domain.steps.drawn.drawing import as_mermaid, as_text
    from loom_common.domain.steps.graph import graph_of

    settings = configuration(config, target=target).allowing(allow_path or ())
    pipeline = definition_file.load(file, settings.applied_to, settings.allowed).pipeline
    steps = getattr(pipeline.transform, "steps", None) or [
        pipeline.transform.model_dump(mode="json") | {"name": "transform"}
    ]
    counts = None
    if run_id is not None:
        follow.wait_for(state.refuse_other(settings, run_id, pipeline.name))
        run = follow.wait_for(state.ask(settings, lambda views: views.run(run_id)))
        if run is None:
            raise no_run(settings, run_id)
        counts = {}
        for each in run.as_json().get("steps", ()):
            counts[each["name"]] = each["seen"]
            counts |= {f"{each['name']}.{branch}": number for branch, number in each["branches"].items()}
    match form:
        case Drawing.JSON:
            found = graph_of(steps)
            terminal.print_json(
                [
                    {
                        "name": node.name,
                        "type": node.kind,
                        "needs": [str(need) for need in node.needs],
                        "waits_for": list(found.before[node.name]),
                        "phase": node.phase,
                        "when": node.when,
                        "branches": list(node.branches),
                        **({} if counts is None else {"records": counts.get(node.name, 0)}),
                    }
                    for node in found.order
                ]
            )
        case Drawing.MERMAID:
            _print(as_mermaid(steps, counts))
        case _:
            _print(as_text(steps, counts))


def _print(lines: Iterable[str]) -> None:
    """Print each line as it is, however wide the terminal is."""
    from loom.cli.output import terminal

    for line in lines:
        terminal.stdout().print(line, markup=False, highlight=False, soft_wrap=True)
