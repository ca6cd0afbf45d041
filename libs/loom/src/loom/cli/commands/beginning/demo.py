"""Implements `loom demo`, which runs the example that comes with Loom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loom.cli.options.common import Form, Verbose
from loom.cli.output.formats import Format


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where the example is written, with its data and results.")
    ] = Path("loom-demo"),
    form: Form = Format.TABLE,
    verbose: Verbose = False,
) -> None:
    """Write the example of 3,708 labelled reviews into a new folder, and run it: no key, no server, no cost.

    The pipeline gives each review a sentiment, compares it with that of twenty people, and loads those that agree. In a
    folder that it has written before, it runs again. Exit codes: as of `loom run`."""
    import os

    from loom.cli.commands.starting.run import run
    from loom.cli.output.terminal import say
    from loom.templates.demo import write_demo
    from loom_common.errors import ConfigurationError

    if (folder / "pipeline.yaml").is_file():
        say(f"{folder}/ is there already, and is run as it is.")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} exists and is something else; nothing was written. Name another folder.")
    else:
        write_demo(folder)
        say(f"{folder}/ written: a pipeline, its reviews, and loom.yaml, which makes it a project.")
    os.chdir(folder)
    say(f"Running it, as `cd {folder}` and `loom run pipeline.yaml` do:")
    try:
        run(pipeline="pipeline.yaml", form=form, verbose=verbose, cluster=False, config=None, allow_path=None)
    finally:
        say(f"The commands above work in its folder: cd {folder}")
