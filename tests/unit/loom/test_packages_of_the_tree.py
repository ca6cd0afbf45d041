"""Tests what the packages of this tree say of themselves. What they do is tested by `make statistics` and `make
prefect-engine`."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

from loom.project.configured import engine_names
from loom_common.domain.steps.registered.find import PACKAGES
from loom_common.plugins.installed import DISTRIBUTION
from loom_common.plugins.kinds import Kind

FILES = sorted((Path(__file__).parents[3] / "packages").glob("*/pyproject.toml"))
PROJECTS = [tomllib.loads(file.read_text(encoding="utf-8"))["project"] for file in FILES]


def test_a_machine_without_a_step_is_told_the_package_that_has_it():
    offered = {name: each["name"] for each in PROJECTS for name in each["entry-points"].get(Kind.STEP.group, {})}
    assert offered == PACKAGES


def test_a_machine_without_an_engine_is_told_the_folder_of_its_package():
    offered = {
        name: f"packages/{file.parent.name}"
        for file, each in zip(FILES, PROJECTS, strict=True)
        for name in each["entry-points"].get(Kind.ENGINE.group, {})
    }
    assert offered == engine_names._FOLDERS


def test_every_package_is_for_this_version_of_loom_and_not_for_the_next_incompatible_one():
    for project in PROJECTS:
        (wanted,) = (each for each in map(Requirement, project["dependencies"]) if each.name == DISTRIBUTION)
        assert wanted.specifier.contains(version(DISTRIBUTION))
        assert not wanted.specifier.contains("99.0")


def test_the_base_installation_needs_nothing_of_theirs():
    locked = (FILES[0].parents[2] / "requirements.lock").read_text(encoding="utf-8")
    assert "\nscipy==" not in locked
