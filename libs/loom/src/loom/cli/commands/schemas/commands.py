"""Implements the commands of `loom schema`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import Common, ConfigPath, Form, Verbose, WithFiles, configuration
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App
from loom_common.flow import Stage

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom_common.domain.schema.columns import Column
    from loom_coordinator.db.schema_versions import SchemaVersion

app = App(
    help="The schemas of records: infer, compare and store them. And those of the files of a project, for editors.",
    no_args_is_help=True,
)


class _Document(StrEnum):
    YAML = "yaml"
    JSON = "json"


class _Held(StrEnum):
    EXTRACT = "extract"
    TRANSFORM = "transform"
    LOAD = "load"


Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The pipeline file.")]
Records = Annotated[int, typer.Option("--records", min=1, metavar="N", help="How many records to look at.")]
Document = Annotated[
    _Document, typer.Option("--format", help="`yaml`, as `loom schema apply --from` reads it, or `json`.")
]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="SCHEMA",
        help="A schema as `loom schema infer` prints it. Default: what the pipeline's source has.",
    ),
]
Held = Annotated[_Held, typer.Option("--stage", help="The stage that holds records to the schema.")]


@app.command("infer")
def infer(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source, as `extract.source` names it.")],
    records: Records = 1000,
    query: Annotated[str | None, typer.Option("--query", metavar="SQL", help="SQL, where it is a database.")] = None,
    form: Document = _Document.YAML,
    config: ConfigPath = None,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Infer the schema of a source from its first records.

    It says of each column its type, its format, whether it may be null and may be a key, and shows examples."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.cli.output.stdout import stream
    from loom.preflight import source_sample
    from loom_common.domain.schema.inference import profiled

    settings = configuration(config)
    sample = follow.wait_for(source_sample.of_source(source, query, settings, records))
    columns: dict[str, Any] = {}
    for name, profile in profiled(sample).items():
        found = profile.column.model_dump(exclude_defaults=True)
        if profile.candidate_key:
            found["candidate_key"] = True
        columns[name] = {**found, "examples": list(profile.examples)}
    document = {"source": source, "records": len(sample), "columns": columns}
    if form is _Document.JSON:
        terminal.print_json(document)
    else:
        from ruamel.yaml import YAML

        YAML().dump(document, stream())


@app.command("show")
@grouped
def show(name: Name, form: Form = Format.TABLE, *, common: Common) -> None:
    """Show the newest stored version of each schema of a pipeline."""
    newest: dict[Stage, SchemaVersion] = {}
    for version in _history(common.configuration(), name):
        newest.setdefault(version.stage, version)
    rows = [
        {"stage": each.stage.value, "version": each.version, "column": column, **_of(found)}
        for each in newest.values()
        for column, found in each.columns.items()
    ]
    _print(rows, ("stage", "version", "column", "type", "format", "nullable"), form, _none(name))


@app.command("history")
@grouped
def history(name: Name, form: Form = Format.TABLE, *, common: Common) -> None:
    """List the stored versions of the schemas of a pipeline, the newest first, with what each changed."""
    from loom.cli.output.schema_changes import words

    rows = [
        {
            "stage": each.stage.value,
            "version": each.version,
            "created_at": each.created_at.isoformat(timespec="seconds"),
            "created_by": each.created_by,
            "changes": "; ".join(words(change.model_dump()) for change in each.changes) or "-",
        }
        for each in _history(common.configuration(), name)
    ]
    _print(rows, ("stage", "version", "created_at", "created_by", "changes"), form, _none(name))


@app.command("diff")
@grouped
def diff(file: File, records: Records = 1000, form: Form = Format.TABLE, *, common: WithFiles) -> None:
    """Compare the source of a pipeline file with the stored version of its schema. Exits with 1 where they differ."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.cli.output.schema_changes import words
    from loom_common.domain.schema.drift import drift
    from loom_common.errors import ConfigurationError

    settings = common.configuration()
    loaded = _loaded(file, settings)
    stored = next(
        (each for each in _history(settings, loaded.pipeline.state_name) if each.stage is Stage.EXTRACT), None
    )
    if stored is None:
        raise ConfigurationError(
            f"{_none(loaded.pipeline.state_name)} `loom schema apply {file}` stores what its source has."
        )
    changes = drift(stored.columns, follow.wait_for(_inferred(loaded, settings, records)))
    if form is Format.JSON:
        terminal.print_json([each.model_dump() for each in changes])
    else:
        for change in changes:
            terminal.stdout().print(words(change.model_dump()), markup=False, highlight=False, soft_wrap=True)
        if not changes:
            terminal.say(f"The source fits version {stored.version} of the schema.")
    raise typer.Exit(1 if changes else 0)


@app.command("apply")
@grouped
def apply(
    file: File,
    source: FromFile = None,
    stage: Held = _Held.EXTRACT,
    records: Records = 1000,
    *,
    common: WithFiles,
) -> None:
    """Store the next version of a pipeline's schema: that of a file, or what its source has now. Later runs are held to
    it."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom_common.errors import ConfigurationError

    settings = common.configuration()
    loaded = _loaded(file, settings)
    if source is None and stage is not _Held.EXTRACT:
        raise ConfigurationError(
            "What a pipeline answers and loads is known only by a run: name a schema with `--from`."
        )
    columns = _read(source) if source is not None else follow.wait_for(_inferred(loaded, settings, records))
    name, held = loaded.pipeline.state_name, Stage(stage.value)
    stored = follow.wait_for(state.ask(settings, lambda views: views.store_schema(name, held, columns)))
    terminal.say(f"Version {stored.version} of the schema of {name} at {held} has {len(stored.columns)} columns.")


@app.command("pipeline")
def pipeline(verbose: Verbose = False) -> None:  # noqa: ARG001 - read by `main`
    """Print the JSON Schema of the pipeline file, by which editors complete it and mark mistakes."""
    from loom.cli.output import terminal
    from loom.editing import json_schema

    terminal.print_json(json_schema.of_pipeline())


@app.command("config")
def config_schema(verbose: Verbose = False) -> None:  # noqa: ARG001 - read by `main`
    """Print the JSON Schema of `loom.yaml`."""
    from loom.cli.output import terminal
    from loom.editing import json_schema

    terminal.print_json(json_schema.of_config())


def _history(config: LoomConfig, name: str) -> list[SchemaVersion]:
    from loom.cli.commands import follow, state

    return follow.wait_for(state.ask(config, lambda views: views.schemas(config.state_name(name))))


def _loaded(file: Path, config: LoomConfig) -> LoadedPipeline:
    from loom.project import definition_file

    return definition_file.load(file, config.applied_to, config.allowed)


async def _inferred(loaded: LoadedPipeline, config: LoomConfig, records: int) -> dict[str, Column]:
    from loom.preflight import source_sample
    from loom_common.domain.schema.inference import inferred

    return inferred(await source_sample.of_pipeline(loaded, config, records))


def _read(path: Path) -> dict[str, Column]:
    from pydantic import ValidationError
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from loom_common.domain.schema.columns import Column
    from loom_common.errors import ConfigurationError

    try:
        written = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["columns"]
        return {
            str(name): Column(**{key: value for key, value in each.items() if key in Column.model_fields})
            for name, each in written.items()
        }
    except (OSError, YAMLError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigurationError(
            f"{path} holds no schema ({type(error).__name__}: {str(error).splitlines()[0]}). Expected is a document "
            "like that of `loom schema infer`: `columns`, with `type`, `format` and `nullable` of each."
        ) from error


def _of(column: Column) -> dict[str, Any]:
    return {"type": column.type, "format": column.format, "nullable": column.nullable}


def _print(rows: list[dict[str, Any]], names: tuple[str, ...], form: Format, empty: str) -> None:
    from loom.cli.output.tables import Column, print_rows
    from loom_common.console.numbers import compact, yes_or_no

    shown = {"nullable": yes_or_no}
    columns = [Column(name, name.replace("_", " "), shown.get(name, compact), keep=True) for name in names]
    print_rows(rows, columns, form, empty)


def _none(name: str) -> str:
    return f"No schema of '{name}' is stored here."
