"""Implements `loom config`, which makes, shows, checks and changes `loom.yaml`."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import ConfigPath, Form, Verbose, configuration
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

if TYPE_CHECKING:
    from loom.project.config import LoomConfig

app = App(help="The project's configuration, `loom.yaml`.", no_args_is_help=True)


@app.command("init")
def init(verbose: Verbose = False) -> None:  # noqa: ARG001 - read by `main`
    """Write a `loom.yaml` with every setting and its default, as comments, into this folder."""
    from loom.cli.output.terminal import say
    from loom.project.config import FILE_NAME
    from loom.templates import text_of
    from loom_common.errors import ConfigurationError

    path = Path(FILE_NAME)
    if path.exists():
        raise ConfigurationError(f"{path.resolve()} exists; change it with `loom config set KEY VALUE`.")
    path.write_text(text_of(FILE_NAME), encoding="utf-8")
    say(f"{path} written. `loom config show` tells what is in force.")


@app.command("show")
def show(config: ConfigPath = None, form: Form = Format.TABLE, verbose: Verbose = False) -> None:  # noqa: ARG001
    """Show every setting that is in force, and where it comes from. Secrets stay references."""
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    settings = configuration(config)
    rows = _rows(settings)
    if form is Format.JSON:
        terminal.print_json(
            {"file": settings.file, "project": settings.project, "settings": {row["key"]: row["value"] for row in rows}}
        )
        return
    terminal.say(f"project {settings.project}, {settings.file or 'no loom.yaml: defaults'}")
    print_rows(rows, [Column("key", "key", keep=True), Column("value", "value"), Column("origin", "from")], form, "")


@app.command("validate")
def validate(config: ConfigPath = None, form: Form = Format.TABLE, verbose: Verbose = False) -> None:  # noqa: ARG001
    """Check `loom.yaml`: every mistake at once, what its targets say of the project's pipelines, and that the
    credentials it names are there. Exits with 0, or 2."""
    from loom.cli.output import terminal
    from loom_common.errors import InvalidDefinition

    try:
        settings = configuration(config)
        settings.settings()
        if settings.targets:
            from loom.requests.validation import refuse_wrong_targets

            refuse_wrong_targets(settings)
    except InvalidDefinition as error:
        if form is Format.TABLE:
            raise
        terminal.print_json({"valid": False, "problems": [str(problem) for problem in error.problems]})
        raise typer.Exit(2) from None
    if form is Format.JSON:
        terminal.print_json({"valid": True, "problems": []})
    else:
        terminal.say(f"{settings.file or 'No loom.yaml, only defaults'}: in order.")


@app.command("set")
def set_value(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A dotted key: `cache.enabled`.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="As YAML: `true`, `7`, `[pipelines]`, text.")],
    config: ConfigPath = None,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Set one value in `loom.yaml`, which is made where it is missing. Comments stay; a mistake changes nothing."""
    from loom.cli.output.terminal import say
    from loom.project.config import FILE_NAME, LoomConfig
    from loom_connectors.storage.local import followed, put_in_place

    path = followed(config or LoomConfig.load().file or Path(FILE_NAME))
    text = _changed(path.read_text(encoding="utf-8") if path.exists() else "", key.split("."), value)
    LoomConfig.parse(text, os.path.relpath(path))
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    put_in_place(beside, path)
    say(f"{key} set in {os.path.relpath(path)}.")


def _changed(text: str, keys: list[str], value: str) -> str:
    """Return the YAML text with the value at the dotted key changed, and everything else as it was."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    from loom_common.errors import ConfigurationError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    try:
        parsed = yaml.load(value)
    except YAMLError:
        parsed = value
    document = yaml.load(text)
    # A file of comments alone is no document to put a key into: the key follows it.
    head, document = (text, CommentedMap()) if document is None else ("", document)
    section: Any = document
    for position, part in enumerate(keys[:-1]):
        section = section.setdefault(part, CommentedMap())
        if not isinstance(section, dict):
            raise ConfigurationError(f"{'.'.join(keys[: position + 1])} is a value, not a section, in this file.")
    section[keys[-1]] = parsed
    out = StringIO()
    yaml.dump(document, out)
    return head + out.getvalue()


def _rows(config: LoomConfig) -> list[dict[str, Any]]:
    from loom_common.domain.values.urls import redacted

    written = config.model_dump(mode="json", exclude_unset=True)
    rows = []
    for key, value in _flat(config.model_dump(mode="json")):
        here: Any = written
        for part in key.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        origin = "loom.yaml" if here is not None else "default"
        shown = redacted(value) if isinstance(value, str) else value
        rows.append({"key": key, "value": shown, "origin": origin})
    return rows + _from_environment()


def _from_environment() -> list[dict[str, Any]]:
    """List the `LOOM_*` variables that outweigh the file."""
    from loom_common.domain.values.urls import redacted

    names = (
        "TARGET",
        "BUS_URL",
        "STATE_URL",
        "JOURNAL_URL",
        "PAYLOADS_URL",
        "LOG_LEVEL",
        "PROJECT_DIR",
        "CREDENTIAL_PREFIX",
    )
    given = [(f"LOOM_{name}", os.environ.get(f"LOOM_{name}")) for name in names]
    return [{"key": name, "value": redacted(value), "origin": "environment"} for name, value in given if value]


def _flat(tree: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        rows += _flat(value, f"{above}{key}.") if isinstance(value, dict) else [(f"{above}{key}", value)]
    return rows
