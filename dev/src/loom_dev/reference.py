"""Generates docs/pipeline.md and docs/cli.md from the models and the command line.

`python -m loom_dev.reference` writes them. With `--check` it writes nothing, and fails where they differ. Text that is
in no model is in `reference_text.py`."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from loom.cli.root_command import app
from loom.project.config import LoomConfig
from loom_common.domain.definition import caching, evaluation, evaluator_kinds, monitoring, pipeline, transform
from loom_common.domain.definition.evaluators import Evaluator
from loom_common.domain.definition.failing import FallbackConfig, Recovery
from loom_common.domain.definition.timeouts import Timeouts
from loom_common.domain.model_options.params import ParamSpec
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig, RateLimit
from loom_connectors.formats.csv import CsvDestinationOptions, CsvSourceOptions
from loom_connectors.formats.jsonl import JsonLinesOptions
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_coordinator.admin.app import app as coordinator
from loom_dev import reference_text as text

FOLDER = Path("docs")
EXAMPLES = Path("examples/customer_sentiment")
_BAR = re.compile(r"(?<!\\)\|")
"""A bar that would end a table's cell."""


def pipeline_page() -> str:
    """Return the reference of the pipeline file."""
    sections: list[tuple[str, type[BaseModel], str]] = [
        ("Top level", pipeline.Pipeline, ""),
        ("`params`", ParamSpec, text.PARAMS),
        ("`extract`", pipeline.ExtractConfig, text.EXTRACT),
        (
            "`transform`",
            transform.TransformConfig,
            text.TRANSFORM + _transforms(),
        ),
        ("`transform.cache`", caching.CacheConfig, ""),
        ("`transform.fallback`", FallbackConfig, ""),
        ("`evaluate`", evaluation.EvaluateConfig, text.EVALUATE),
        ("`load`", pipeline.LoadConfig, text.LOAD),
        ("`providers`", ProviderConfig, text.PROVIDERS),
        ("`rate_limit`", RateLimit, text.RATE_LIMIT),
        ("`monitoring`", monitoring.MonitoringConfig, text.MONITORING),
        ("`monitoring.quality_threshold`", monitoring.QualityThreshold, ""),
        ("`monitoring.latency_sla`", monitoring.LatencySla, ""),
        ("`monitoring.cost_spike`", monitoring.CostSpike, ""),
        ("`monitoring.score_degradation`", monitoring.ScoreDegradation, ""),
        ("`monitoring.alerts`", monitoring.AlertsConfig, ""),
        ("`prices`", ModelPrice, ""),
        ("`timeouts`", Timeouts, text.TIMEOUTS),
    ]
    parts = [text.PIPELINE_INTRO, f"```yaml\n{(EXAMPLES / 'pipeline-llm.yaml').read_text(encoding='utf-8')}```\n"]
    parts += [f"## {title}\n\n{_doc(model)}\n\n{_fields(model)}{more}" for title, model, more in sections]
    parts.append(text.FAILING)
    parts += [text.OUTPUT, text.GATES, _evaluators(), _connectors(), text.IDENTITY, text.FILES, text.CREDENTIALS]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def cli_page() -> str:
    """Return the reference of both command lines and of `loom.yaml`."""
    parts = [text.CLI_INTRO, *_commands(typer.main.get_command(app), "loom")]
    parts += [text.COORDINATOR, *_commands(typer.main.get_command(coordinator), "loom-coordinator")]
    parts += [text.CONFIG, _fields(LoomConfig)]
    for name, field in LoomConfig.model_fields.items():
        model = _model_in(field.annotation)
        if model is not None:
            parts.append(f"### `{name}`\n\n{_doc(model)}\n\n{_fields(model)}")
    parts.append(text.ENVIRONMENT)
    return "\n".join(part.strip("\n") + "\n" for part in parts)


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
    yield f"## `{name}`\n\n{_paragraphs(command.help)}\n\n```\n{usage}\n```\n\n" + _table(("", "meaning"), rows)


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


def _transforms() -> str:
    models = {f"type: {name}": model for name, model in transform.TRANSFORMS.items()}
    return "\n" + _kinds(models, transform.TransformConfig)


def _evaluators() -> str:
    return "\n".join((text.EVALUATORS, _fields(Evaluator), _kinds(evaluator_kinds.EVALUATORS, Evaluator)))


def _kinds(models: Mapping[str, type[BaseModel]], shared: type[BaseModel]) -> str:
    """Return a part for each model, by its title: what it is, and the keys that it has beside the `shared` ones."""
    parts = []
    for title, model in models.items():
        own = set(model.model_fields) - set(shared.model_fields) - {"type"}
        parts.append(f"### `{title}`\n\n{_doc(model)}\n" + (f"\n{_fields(model, only=own)}" if own else ""))
    return "\n".join(parts)


def _connectors() -> str:
    parts = [text.CONNECTORS]
    options: dict[str, tuple[type[BaseModel], type[BaseModel]]] = {
        "CSV files": (CsvSourceOptions, CsvDestinationOptions),
        "JSON Lines files": (JsonLinesOptions, JsonLinesOptions),
        "SQLite and Postgres": (SqlSourceOptions, SqlDestinationOptions),
    }
    for title, (source, destination) in options.items():
        parts.append(f"### {title}\n\n{text.CONNECTOR[title].strip()}\n")
        for section, model in (("extract.options", source), ("load.options", destination)):
            if model.model_fields:
                parts.append(f"`{section}`:\n\n{_fields(model)}")
                parts += [
                    f"`{section}.{name}`:\n\n{_fields(inner)}"
                    for name, field in model.model_fields.items()
                    if (inner := _model_in(field.annotation)) and section == "extract.options"
                ]
    return "\n".join(parts)


def _fields(model: type[BaseModel], only: set[str] | None = None) -> str:
    """Return a table of a model's keys: name, type, default, meaning."""
    # Keys that a section shares with others come last.
    own = sorted(model.model_fields.items(), key=lambda item: item[0] in Recovery.model_fields)
    rows = [
        (f"`{_key(name, field)}`", _type_words(field.annotation), _default(field), field.description or "")
        for name, field in own
        if only is None or name in only
    ]
    return _table(("key", "type", "default", "meaning"), rows)


def _key(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return field.alias or name


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value in (None, "", [], {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`[{', '.join(value)}]`" if isinstance(value, list) else f"`{value}`"


def _type_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_words(arguments[0])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_words(one) for one in arguments if one is not type(None)))
    if origin is list:
        return f"list of {_type_words(arguments[0])}"
    if origin is dict or annotation is dict:
        return "section"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "evaluator" if issubclass(annotation, Evaluator) else "section"
    names = {str: "text", int: "integer", float: "number", bool: "boolean", Any: "value"}
    return names.get(annotation, str(annotation))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _doc(model: type[BaseModel]) -> str:
    return _paragraphs(model.__doc__)


def _paragraphs(words: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (words or "").split("\n\n"))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    return _BAR.sub(r"\\|", " ".join(words.split()))


def main(arguments: list[str]) -> int:
    wanted = {FOLDER / "pipeline.md": pipeline_page(), FOLDER / "cli.md": cli_page()}
    if "--check" in arguments:
        stale = [
            path for path, page in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != page
        ]
        for path in stale:
            print(f"{path}: differs from the code. Run `make docs`.", file=sys.stderr)
        return 1 if stale else 0
    for path, page in wanted.items():
        path.write_text(page, encoding="utf-8")
    print(", ".join(map(str, wanted)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
