"""Shows a run in a notebook while it goes: a line that is replaced about once a second."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from loom_common.contracts.v1 import RunProgress
from loom_common.domain.json_values.html_tables import text_of


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


class LiveProgress:
    """Shows the progress of a run below the cell that started it. A run that ends before it has told any shows none.
    Outside of a notebook nothing is shown."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._active = in_notebook()

    def show(self, progress: RunProgress) -> None:
        """Show what a run has come to so far."""
        if not self._active:
            return
        display = import_module("IPython.display")
        html = display.HTML(progress_html(progress))
        if self._shown is None:
            self._shown = display.display(html, display_id=True)
        else:
            self._shown.update(html)

    def end(self) -> None:
        """Take the line away: the result of the cell says all of it."""
        if self._shown is not None:
            self._shown.update(import_module("IPython.display").HTML(""))


def progress_html(progress: RunProgress) -> str:
    """Return one progress of a run as HTML: a bar where the number of records is known, the counts, and the cost."""
    tally = progress.tally
    done = tally.ended
    total = progress.total
    share = min(1.0, done / total) if total else None
    bar = "" if share is None else f'<progress value="{share:.4f}" max="1" style="width:220px"></progress> '
    of = "" if total is None else f" of {total:,}"
    words = [f"{done:,}{of} records", f"{tally.loaded:,} loaded"]
    if kept := tally.rejected + tally.quarantined:
        words.append(f"{kept:,} kept back")
    words += [f"{tally.cost_transform + tally.cost_evaluate:.4f} USD", f"{progress.elapsed:.0f} s"]
    if progress.notice:
        words.append(progress.notice)
    about = f"<b>{text_of(progress.pipeline)}</b> {text_of(progress.status)}"
    return f"<div>{bar}{about} &nbsp; {text_of(', '.join(words))}</div>"
