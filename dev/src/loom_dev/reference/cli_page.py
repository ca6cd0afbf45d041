"""Generates `docs/cli.md` from both command lines and the model of `loom.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

import typer
from pydantic_settings import BaseSettings

from loom.cli.root_command import application
from loom.project.config import LoomConfig
from loom_ai.settings import BatchSettings, BudgetSettings, ModelSettings
from loom_common.config.settings import CacheSettings, DatabaseSettings, Settings
from loom_coordinator.admin.app import app as coordinator
from loom_dev.reference import cli_text as text
from loom_dev.reference.markdown import page, paragraphs, table
from loom_dev.reference.model_tables import doc, fields, model_in


def cli_page() -> str:
    """Return the reference of both command lines and of `loom.yaml`."""
    parts = [text.CLI_INTRO, *_commands(typer.main.get_command(application()), "loom")]
    parts += [text.COORDINATOR, *_commands(typer.main.get_command(coordinator), "loom-coordinator")]
    parts += [text.CONFIG, fields(LoomConfig)]
    for name, field in LoomConfig.model_fields.items():
        model = model_in(field.annotation)
        if model is not None:
            parts.append(f"### `{name}`\n\n{doc(model)}\n\n{fields(model)}")
    parts += [text.ENVIRONMENT, _limits()]
    return page(parts)


def _limits() -> str:
    """Return a table of the variables that limit a process: name, default, meaning."""
    nested = (field.annotation for field in Settings.model_fields.values())
    models = (ModelSettings, BatchSettings, BudgetSettings, DatabaseSettings, CacheSettings, *nested)
    rows = [
        (f"`{model.model_config.get('env_prefix')}{name.upper()}`", f"{field.default:g}", field.description or "")
        for model in models
        if isinstance(model, type) and issubclass(model, BaseSettings)
        for name, field in model.model_fields.items()
        if isinstance(field.default, int | float)
    ]
    return table(("variable", "default", "meaning"), rows)


def _commands(command: Any, name: str) -> Iterable[str]:
    children = getattr(command, "commands", None)
    if children:
        for child_name, child in children.items():
            yield from _commands(child, f"{name} {child_name}")
        return
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = " ".join([name, *(argument.metavar or argument.name.upper() for argument in arguments), "[options]"])
    rows = [(f"`{argument.metavar or argument.name.upper()}`", argument.help or "") for argument in arguments]
    rows += [(_option_words(option), _option_help(option)) for option in options]
    yield f"## `{name}`\n\n{paragraphs(command.help)}\n\n```\n{usage}\n```\n\n" + table(("", "meaning"), rows)


def _option_words(option: Any) -> str:
    if option.is_flag:
        return f"`{option.opts[0]}`"
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"`{option.opts[0]} {'|'.join(choice.value for choice in kind)}`"
    return f"`{option.opts[0]} {option.metavar or option.name.upper()}`"


def _option_help(option: Any) -> str:
    default = option.default
    if option.is_flag or default in (None, [], ()) or "Default" in (option.help or ""):
        return option.help or ""
    shown = default.value if isinstance(default, Enum) else default
    return f"{option.help} Default: `{shown}`."
