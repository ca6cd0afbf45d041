"""Shows what is longer than a terminal in a pager."""

from __future__ import annotations

import os
from collections.abc import Callable

from rich.console import Console

from loom.cli.output import terminal


def paged(draw: Callable[[Console], None]) -> None:
    """Print on stdout; on a terminal that is too low for it, through a pager: that of PAGER, else `less`."""
    console = terminal.stdout()
    if not console.is_terminal:
        draw(console)
        return
    with console.capture() as captured:
        draw(console)
    text = captured.get()
    if text.count("\n") < console.height:
        console.file.write(text)
        console.file.flush()
        return
    import click

    os.environ.setdefault("LESS", "-RFX")
    click.echo_via_pager(text, color=True)
