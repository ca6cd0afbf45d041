"""Tests what the documents say can be typed, loaded and found: commands, files, keys, names."""

from __future__ import annotations

import ast
import builtins
import json
import re
import shlex
import symtable
from functools import lru_cache
from importlib import import_module

import pytest
import typer
from ruamel.yaml import YAML

from loom.cli.root_command import application
from loom.project.config import LoomConfig
from loom.testing.definition.suite import Suite
from loom_ai.settings import BatchSettings, BudgetSettings, ModelSettings
from loom_api.settings import ApiSettings
from loom_common.config import settings
from loom_common.contracts.v1 import RunRequest
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.extras import PURPOSES
from loom_coordinator.admin.app import app as coordinator
from loom_coordinator.settings import CoordinatorSettings
from support.documents import PAGES, ROOT, in_code, mentioned, prose, snippets, typed

PROGRAMS = {"loom": application(), "loom-coordinator": coordinator}
NO_SETTINGS = {"LOOM_KEY", "LOOM_ENCRYPTION_KEY"}
"""Holds an example of a prefix, and the reference of a key that a setting has by default."""
NOT_LOOMS = ("externalRules", "repos")
"""Keys of YAML that is written for others."""
EXAMPLES = [parse(YAML(typ="safe", pure=True).load(path)) for path in sorted(ROOT.glob("examples/*/pipeline*.yaml"))]
BASE = {
    "name": "p",
    "extract": {"source": "data.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "out.csv"},
}


@lru_cache
def command_of(program):
    """Return the command line of a program."""
    return typer.main.get_command(PROGRAMS[program])


def found(program, arguments, *, whole):
    """Return the command that `arguments` begin with. `whole`: they are all there, and can be read. Raises click's
    errors."""
    command, rest = command_of(program), list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    if whole and rest != ["--help"]:
        command.make_context("", list(rest))
    return command, rest


@pytest.mark.parametrize(
    ("where", "command"), [pair for program in PROGRAMS for pair in typed(program)], ids=lambda text: text[:60]
)
def test_every_command_in_a_block_can_be_typed(where, command):
    program, *arguments = shlex.split(command)
    try:
        found(program, arguments, whole=True)
    except typer.BadParameter as error:
        assert "does not exist" in error.message, f"{where}: {command}: {error.message}"  # a file of the reader's


@pytest.mark.parametrize(
    ("where", "command"), [pair for program in PROGRAMS for pair in mentioned(program)], ids=lambda text: text[:60]
)
def test_every_command_in_the_prose_is_one(where, command):
    program, *arguments = shlex.split(command)
    is_command, rest = found(program, arguments, whole=False)
    assert not hasattr(is_command, "commands") or not [each for each in rest if not each.startswith("-")], where
    options = {name for param in is_command.params for name in param.opts} | {"--help"}
    assert {each for each in rest if each.startswith("--")} <= options, where


def test_every_target_of_make_in_the_documents_is_one():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for where, command in typed("make") + mentioned("make"):
        named = [word for word in shlex.split(command)[1:] if "=" not in word]
        assert set(named) <= targets, f"{where}: {command}"


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_every_yaml_in_the_documents_is_valid(snippet, tmp_path):
    text = snippet.body.replace("{...}", "{made_up: string}")
    if re.search(r"^tests:", text, re.MULTILINE):
        Suite.model_validate(_read(text))
        return
    if re.search(r"^targets:", text, re.MULTILINE):
        LoomConfig.model_validate(_read(text))
        return
    whole = _read(text) if text.count("\nname:") + text.startswith("name:") else None
    if isinstance(whole, dict) and "extract" in whole:
        parse(whole)
        return
    for chunk in re.split(r"^(?=[a-z_]+:)", text, flags=re.MULTILINE):
        for key, value in (_read(chunk) or {}).items():
            _see_section(key, value)


def _read(text):
    return YAML(typ="safe", pure=True).load(text)


def _see_section(key, value):
    if key == "output":
        _see_section("transform", {"type": "ai", "model": "m", "prompt": "p", "output": value})
    elif key == "transform" and "type" not in value and "steps" not in value:
        _see_section("transform", {"type": "ai", "model": "m", "prompt": "p", **value})
    elif key in Pipeline.model_fields:
        parse({**BASE, key: {**BASE[key], **value} if key in ("extract", "load") else value})
    elif key in LoomConfig.model_fields:
        LoomConfig.model_validate({key: value})
    else:
        assert key in NOT_LOOMS


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_every_python_in_the_documents_is_whole(snippet):
    """Each example can be compiled as a module, and every name in it is imported, defined there or built in."""
    module = compile(snippet.body, str(snippet), "exec")
    assert names_from_nowhere(symtable.symtable(snippet.body, str(snippet), "exec")) == set()
    for node in ast.walk(ast.parse(snippet.body)):
        if isinstance(node, ast.ImportFrom):
            assert all(hasattr(import_module(node.module), each.name) for each in node.names), snippet
    assert module


def names_from_nowhere(table):
    """Return the names that a module and its functions use, and that nothing binds."""
    bound = {each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported()}
    bound |= {each.get_name() for each in table.get_symbols() if each.is_namespace()} | set(dir(builtins))
    return {
        each.get_name()
        for inner in _tables(table)
        for each in inner.get_symbols()
        if each.is_referenced() and each.is_global() and each.get_name() not in bound
    }


def _tables(table):
    yield table
    for child in table.get_children():
        yield from _tables(child)


@pytest.mark.parametrize("snippet", snippets("json"), ids=str)
def test_every_request_in_the_documents_can_be_read(snippet):
    request = RunRequest.model_validate(json.loads(snippet.body))
    if request.definition is not None:
        parse(request.definition)
    else:
        (named,) = (each for each in EXAMPLES if each.name == request.pipeline)
        assert set(request.params) <= set(named.params), f"{snippet}: {request.pipeline} has no such parameter"


def test_the_readme_shows_the_whole_of_its_example():
    example = (ROOT / "examples/customer_sentiment/pipeline.yaml").read_text()
    assert example in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file.read_text(encoding="utf-8")), target


def _anchors(text):
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_the_documents_is_there(page):
    for name in in_code(page):
        if re.fullmatch(r"(?:libs|services|deploy|tests|docs|dev|migrations|examples|bench)/[\w./-]+", name):
            assert (ROOT / name).exists(), name
        elif re.fullmatch(r"overlays/[\w/-]+", name):
            assert (ROOT / "deploy/k8s" / name).exists(), name
        elif re.fullmatch(r"[a-z_]+\.py", name) and page.name == "architecture.md":
            assert [*ROOT.glob(f"*/*/src/**/{name}"), *ROOT.glob(f"*/src/**/{name}")], name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_in_the_documents_is_one(page):
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bLOOM_[A-Z][A-Z_]*[A-Z]\b", text)) - NO_SETTINGS:
        assert name in _variables() or _is_beginning(name, text), name


def _variables():
    models = [each for each in vars(settings).values() if isinstance(each, type) and hasattr(each, "model_config")]
    known = set()
    for model in [*models, ApiSettings, BatchSettings, BudgetSettings, ModelSettings, CoordinatorSettings]:
        prefix = model.model_config.get("env_prefix")
        known |= {f"{prefix}{name}".upper() for name in model.model_fields} if prefix else set()
    return known | _read_as_they_are()


@lru_cache
def _read_as_they_are():
    """Return the variables that code or tests look up by name, without a model."""
    files = [*ROOT.glob("*/*/src/**/*.py"), *ROOT.glob("tests/support/*.py"), ROOT / "tests/conftest.py"]
    return {name for file in files for name in re.findall(r'"(LOOM_[A-Z_]+)"', file.read_text(encoding="utf-8"))}


def _is_beginning(name, text):
    """Tell whether a name such as `LOOM_MODELS_*` means several, by how they begin."""
    return re.search(rf"{name}_?\*", text) is not None or any(each.startswith(f"{name}_") for each in _variables())


def manifests():
    return "\n".join(path.read_text() for path in (ROOT / "deploy").rglob("*") if path.suffix in (".yaml", ".env"))


def test_every_name_in_operations_exists_in_the_manifests():
    """The names are those of Deployments, Jobs, Secrets, namespaces and labels: what an operator types or looks for."""
    text, there = (ROOT / "docs/operations.md").read_text(encoding="utf-8"), manifests()
    named = set(re.findall(r"(?<=\s)(?:deploy|deployment|job|secret)/(loom-[\w-]+|\w+)(?=\s)", text))
    named |= {
        name for line in re.findall(r"delete job ([\w -]+?)(?: --|$)", text, re.MULTILINE) for name in line.split()
    }
    code = in_code(ROOT / "docs/operations.md")
    named |= {name for name in code if re.fullmatch(r"loom-[a-z]+", name) and name not in PROGRAMS}
    assert named
    for name in named:
        assert re.search(rf"\b(?:name|namespace|secretName): {name}\b|\b{name}:", there), name
    for label in (each for each in code if re.fullmatch(r'[\w./-]+: "?\w+"?', each) and "/" in each.split(":")[0]):
        assert label.replace('"', "") in there.replace('"', ""), label


def test_every_metric_in_operations_is_told():
    code = "\n".join(path.read_text() for path in ROOT.glob("*/*/src/**/*.py"))
    for name in {name for name in in_code(ROOT / "docs/operations.md") if re.fullmatch(r"loom_[a-z_]+", name)}:
        assert name.removesuffix("_total") in code or name == "loom_queue_messages", name


def test_extras_are_installed_from_the_checkout_wherever_they_are_named():
    makefile, page = (ROOT / "Makefile").read_text(), (ROOT / "docs/installing.md").read_text()
    assert "ARG EXTRAS=\n" in (ROOT / "Dockerfile").read_text()
    for extra in PURPOSES.keys() - {"serve"}:
        home = re.search(rf"^HOME_OF_{extra} := (\S+)$", makefile, re.MULTILINE)[1]
        assert re.search(rf"^{extra} = \[", (ROOT / home / "pyproject.toml").read_text(), re.MULTILINE)
        assert f"`make extras EXTRAS={extra}`" in page


def test_nothing_tells_to_install_what_is_somebody_elses():
    """The names `loom` and `loom-ai` are taken on the index."""
    folders = ("libs", "services", "docs", "dev", "deploy", "examples", "migrations")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".yaml")
    ]
    for path in (*files, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Dockerfile"):
        found = re.search(
            r"pip install[^\n]*\bloom(?:-[a-z]+)?['\"\[\s]|\bloom-[a-z]+\[", path.read_text(encoding="utf-8")
        )
        assert found is None, f"{path}: {found[0]}"
