"""Implements `loom doctor`, which says what is here, what is missing, and how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loom.preflight.doctor import Finding


@grouped
def doctor(form: Form = Format.TABLE, *, common: Common) -> None:
    """Look at the installation, its extras, the project, its state, and the endpoints of its pipelines: what is missing
    or wrong, and how to mend it.

    Nothing is written, and no model is asked a question. Exits with 1 where something is wrong; an extra that is not
    installed is not."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.preflight.doctor import examine

    found = follow.wait_for(examine(common.configuration()))
    if form is Format.JSON:
        terminal.print_json([each.as_json() for each in found])
    else:
        _print(found)
    if any(each.status == "wrong" for each in found):
        raise typer.Exit(1)


def _print(found: Sequence[Finding]) -> None:
    from loom.cli.output import terminal
    from loom_common.console.numbers import NOTHING

    marks = {"ok": "ok", "missing": NOTHING, "wrong": "WRONG"}
    wide = max(len(each.what) for each in found)
    out = terminal.stdout()
    for each in found:
        line = f"{marks[each.status]:<5}  {each.what:<{wide}}  {each.detail}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)
        if each.remedy is not None:
            out.print(f"{'':<5}  {'':<{wide}}  -> {each.remedy}", markup=False, highlight=False, soft_wrap=True)
