"""The generated pages say everything the code knows."""

import re

import pytest

from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.evaluator_kinds import EVALUATORS
from loom_common.domain.definition.monitoring import MonitoringConfig
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig, Pipeline
from loom_common.domain.definition.transform import TRANSFORMS, TransformConfig
from loom_dev.reference.cli_page import cli_page
from loom_dev.reference.pipeline_page import pipeline_page


@pytest.fixture(scope="module")
def pages():
    """Both pages, generated from the repository's root."""
    return pipeline_page(), cli_page()


@pytest.mark.parametrize(
    "model",
    [Pipeline, ExtractConfig, TransformConfig, *TRANSFORMS.values(), EvaluateConfig, LoadConfig, MonitoringConfig],
)
def test_every_key_of_the_pipeline_file_is_in_the_reference(pages, model):
    assert [name for name in model.model_fields if name != "type" and f"| `{name}` |" not in pages[0]] == []


def test_every_evaluator_has_its_section(pages):
    kinds = {str(model.model_fields["type"].annotation) for model in EVALUATORS.values()}
    names = {re.findall(r"'(\w+)'", kind)[0] for kind in kinds}
    assert [name for name in names if f"### `{name}`" not in pages[0]] == []


@pytest.mark.parametrize(
    "command",
    ["run", "resume", "cancel", "validate", "init", "list", "status", "history", "lineage", "cost", "quarantine list",
     "simulate-model", "cache stats", "cache clear",
     "quarantine retry", "config init", "config show", "config validate", "config set"],
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
                assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5), line


def test_no_option_takes_none(pages):
    assert re.findall(r"`--[a-z-]+ None`", pages[1]) == []
