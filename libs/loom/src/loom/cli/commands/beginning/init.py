"""Implements `loom init`, which writes a pipeline to begin with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from loom.cli.options.common import Verbose


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The pipeline's name, and its folder's.")],
    template: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            help="`prompt`: a language model over a CSV file, with a key. `basic`: a Python function. `rag`: answers "
            "from a body of knowledge. `sentiment`: a local model. `SOURCE_to_DESTINATION` moves records, as "
            "`csv_to_postgres` does. `loom templates list` shows all.",
        ),
    ] = "basic",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file of yours, for the template `prompt`: it is copied, and the pipeline asks about its texts.",
        ),
    ] = None,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Write a pipeline with its data into the new folder NAME. It runs as it is, or says what it needs.

    Outside of a project, the folder becomes one: with loom.yaml, which makes it the root where state is kept,
    .gitignore, .env.example and README.md. In a project, whose loom.yaml is in this folder or one above, the pipeline
    joins it. The first line of each YAML file tells editors where its JSON Schema is, in the folder `schemas`."""
    from loom.cli.output.terminal import say
    from loom.editing import modelines
    from loom.project.config import LoomConfig
    from loom.project.yaml_positions import parse as parse_yaml
    from loom.templates import project
    from loom.templates.named import template_named
    from loom.templates.own_data import look_at
    from loom_common.domain.definition.reader import parse
    from loom_common.errors import ConfigurationError

    if data is not None and template != "prompt":
        raise typer.BadParameter("--data is for the template `prompt`: add `--template prompt`")
    folder, chosen = Path(name), template_named(template)
    own = None if data is None else look_at(data)
    config = LoomConfig.load()
    joins = config.file is not None
    root = config.project if joins else folder
    files = {**({} if joins else dict(project(folder.name, chosen.variables))), **chosen.files(folder.name)}
    if own is not None:
        files = {path: text for path, text in files.items() if not path.startswith("data/")} | own.put_into(files)
    files["pipeline.yaml"] = modelines.of_pipeline(folder, root) + files["pipeline.yaml"]
    parse(parse_yaml(files["pipeline.yaml"], "pipeline.yaml").data)  # refuses a name that no pipeline may have
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} exists and is not empty; nothing was written. Choose another name.")
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    chosen.write_sample(folder)
    if own is not None:
        (folder / "data").mkdir()
        shutil.copyfile(own.file, folder / "data" / own.file.name)
        say(own.said())
    modelines.write_schemas(root)
    needs = "".join(f"\n  {each}" for each in chosen.needs)
    there, place = ("", f"{folder}/") if joins else (f"\n  cd {folder}", "")
    say(
        f"{folder}/ written. Next:{there}{needs}\n  loom validate {place}pipeline.yaml\n  loom run {place}pipeline.yaml"
    )
