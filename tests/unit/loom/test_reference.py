"""The generated pages say everything the code knows."""

import re

import pytest
from pydantic_settings import BaseSettings

from loom_ai import settings as models
from loom_common.config import settings as services
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.evaluator_kinds import EVALUATORS
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.definition.monitoring import MonitoringConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_dev.reference.cli_page import cli_page
from loom_dev.reference.pipeline_page import pipeline_page


@pytest.fixture(scope="module")
def pages():
    """Provide both pages, generated from the repository's root."""
    return pipeline_page(), cli_page()


@pytest.mark.parametrize(
    "model",
    [Pipeline, ExtractConfig, TransformConfig, *TRANSFORMS.values(), EvaluateConfig, LoadConfig, MonitoringConfig],
)
def test_every_key_of_the_pipeline_file_is_in_the_reference(pages, model):
    keys = [field.alias or name for name, field in model.model_fields.items() if name != "type"]
    assert [key for key in keys if f"| `{key}` |" not in pages[0]] == []


def test_every_evaluator_has_its_section(pages):
    kinds = {str(model.model_fields["type"].annotation) for model in EVALUATORS.values()}
    names = {re.findall(r"'(\w+)'", kind)[0] for kind in kinds}
    assert [name for name in names if f"### `{name}`" not in pages[0]] == []


@pytest.mark.parametrize(
    "command",
    ["run", "resume", "cancel", "validate", "init", "list", "status", "history", "lineage", "cost", "quarantine list",
     "simulate-model", "cache stats", "cache clear",
     "evaluate", "quarantine retry", "config init", "config show", "config validate", "config set"],
)  # fmt: skip
def test_every_command_has_its_section(pages, command):
    assert f"## `loom {command}`" in pages[1]


@pytest.mark.parametrize(
    "command",
    ["status", "runs", "run", "batches", "pause", "resume", "cancel", "priority", "dead list", "dead show",
     "dead replay", "dead discard", "quarantine stats", "prefetch show", "prefetch set", "prefetch auto",
     "scale advice", "reconcile", "topology apply", "topology check", "db upgrade"],
)  # fmt: skip
def test_every_command_for_operators_has_its_section(pages, command):
    assert f"## `loom-coordinator {command}`" in pages[1]


def test_a_bar_does_not_end_a_cell(pages):
    for page in pages:
        for line in page.splitlines():
            if line.startswith("| ") and "---" not in line:
                assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 7), line


def test_no_option_takes_none(pages):
    assert re.findall(r"`--[a-z-]+ None`", pages[1]) == []


def limits_in(module):
    """Return the variable and the default of every number that a module's settings read from the environment."""
    return {
        f"{model.model_config['env_prefix']}{name.upper()}": field.default
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseSettings)
        for name, field in model.model_fields.items()
        if isinstance(field.default, int | float) and not isinstance(field.default, bool)
    }


@pytest.mark.parametrize("module", [services, models])
def test_every_limit_is_in_the_table_with_the_default_of_the_code(pages, module):
    limits = limits_in(module)
    assert len(limits) > 5
    assert [name for name, default in limits.items() if f"| `{name}` | {default:g} |" not in pages[1]] == []
