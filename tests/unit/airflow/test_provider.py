"""Tests that Airflow finds the provider, and that Loom's own name for it says how to get it."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

import loom_airflow
from loom_airflow.provider_info import get_provider_info

FOLDER = Path(loom_airflow.__file__).parents[2]
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]


def test_the_entry_point_describes_the_distribution():
    entry = PROJECT["entry-points"]["apache_airflow_provider"]["provider_info"]
    assert entry == "loom_airflow.provider_info:get_provider_info"
    said = get_provider_info()
    assert said["package-name"] == PROJECT["name"]
    [connection] = said["connection-types"]
    module, _, name = connection["hook-class-name"].rpartition(".")
    source = Path(importlib.util.find_spec(module).origin).read_text()
    assert f"class {name}(" in source
    assert f'conn_type = "{connection["connection-type"]}"' in source


def test_it_has_the_version_of_loom():
    loom = Path(__file__).parents[3] / "libs" / "loom" / "pyproject.toml"
    assert PROJECT["version"] == loom_airflow.__version__ == tomllib.loads(loom.read_text())["project"]["version"]


def test_looms_own_name_for_it_says_how_to_get_it(monkeypatch):
    from loom.integrations import airflow

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ImportError, match="Install loom-pipelines-airflow beside Airflow"):
        _ = airflow.LoomPipelineOperator
