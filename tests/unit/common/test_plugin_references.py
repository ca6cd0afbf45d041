"""Tests plugins of every kind that are named by `module:name`, or registered in this process."""

from __future__ import annotations

import sys

import pytest

from loom.plugins import register_format, register_storage
from loom.preflight import checks
from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom_ai.http.endpoints import endpoint_of
from loom_ai.wire import openai
from loom_ai.wire.wires import wire_of
from loom_common.config.credentials import Credentials, provider_names_in
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.gates import Score, decide
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError, InvalidDefinition, MissingCredential, PermanentError
from loom_common.plugins import registry
from loom_common.plugins.installed import offered
from loom_connectors.formats.jsonl import JsonLinesFormat
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination, open_source
from loom_evaluator.gates import gate_of
from support.memory_storage import MemoryStorage
from support.plugin_packages import PluginPackages

CODE = """
from loom.plugins import PluginEvaluator, PluginGate, PluginTransform, Provider
from loom_connectors.custom import DataConnector, ExtractResult, LoadResult, Record
from loom_connectors.formats.jsonl import JsonLinesFormat as Lines
from loom_connectors.options import Options

house = Provider("https://models.house.example/v1", "${HOUSE_KEY}")
loaded = []


class Numbers(DataConnector):
    class options(Options):
        most: int = 3

    async def connect(self): pass
    async def disconnect(self): pass
    async def validate_connection(self): return True

    async def extract(self, query, batch_size=100, cursor=None):
        records = [Record(str(number), {"id": number}) for number in range(self.config["most"])]
        return ExtractResult(records, len(records), has_more=False)

    async def load(self, records, destination):
        loaded.append((destination, self.config["host"], self.config["port"], [each.data for each in records]))
        return LoadResult(len(records), 0)


class Vault:
    remedy = "Put {name} into the vault."

    def get(self, name):
        return {"db": "s3cret", "a:b": "both"}.get(name)


class Strict(PluginGate):
    least: float = 0.5

    def build(self):
        return self

    def apply(self, scores):
        return all(score.value >= self.least for score in scores)


class Unfinished(DataConnector):
    async def connect(self): pass


class Nothing:
    pass


def opens_nothing(config, context):
    return Nothing()


number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    PluginPackages(tmp_path / "site", monkeypatch).install("loom-test-all", {}, CODE)
    yield "loom_test_all"
    sys.modules.pop("loom_test_all", None)
    offered.cache_clear()


def definition(**changes):
    return {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv"},
        **changes,
    }


def travelled(written):
    """Return the pipeline as a worker reads it from the plan."""
    return Plan.decoded(Plan(pipeline=parse(written)).encoded()).pipeline


async def test_a_source_and_a_destination_are_found_by_module_and_name(module, tmp_path):
    extract = {"source": f"{module}:Numbers://all", "options": {"most": 2}}
    pipeline = travelled(definition(extract=extract, load={"destination": f"{module}:Numbers://host:81/db?table=t"}))
    context = ConnectorContext(tmp_path, Credentials({}))
    source = open_source(pipeline.extract, context)
    assert [record.data for record in (await source.read(None, 10)).records] == [{"id": 0}, {"id": 1}]
    destination = open_destination(pipeline.load, context)
    await destination.load(LoadBatch("run_1", "b", 0, 0, 0, [Row("r1", {"id": 1})]))
    assert sys.modules[module].loaded == [("t", "host", 81, [{"id": 1}])]
    with pytest.raises(InvalidDefinition, match=r"extract\.options\.mots: found the unknown key 'mots'"):
        open_source(ExtractConfig(source=f"{module}:Numbers://all", options={"mots": 2}), context)


async def test_a_storage_and_a_format_are_found_by_module_and_name(module, tmp_path, monkeypatch):
    bucket = {f"{module}:Bucket://in.lines": b'{"id": 1}\n{"id": 2}\n'}
    sys.modules.pop(module, None)
    storage = type("Bucket", (MemoryStorage,), {"__init__": lambda self: MemoryStorage.__init__(self, bucket)})
    monkeypatch.setattr(f"{module}.Bucket", storage, raising=False)
    options = {"format": f"{module}:Lines"}
    context = ConnectorContext(tmp_path, Credentials({}))
    source = open_source(ExtractConfig(source=f"{module}:Bucket://in.lines", options=options), context)
    assert [record.data for record in (await source.read(None, 10)).records] == [{"id": 1}, {"id": 2}]
    await source.close()
    load = LoadConfig(destination=f"{module}:Bucket://out.lines", options=options)
    destination = open_destination(load, context)
    await destination.load(LoadBatch("run_1", "b", 0, 0, 0, [Row("r1", {"id": 1})]))
    assert await destination.finalize("run_1", complete=True)
    await destination.close()
    assert bucket[f"{module}:Bucket://out.lines"] == b'{"id":1}\n'


async def test_a_storage_and_a_format_are_registered_in_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    register_storage("bucket", lambda: MemoryStorage({"bucket://in.lines": b'{"id": 1}\n'}))
    register_format("lines", JsonLinesFormat)
    context = ConnectorContext(tmp_path, Credentials({}))
    source = open_source(ExtractConfig(source="bucket://in.lines"), context)
    assert [record.data for record in (await source.read(None, 10)).records] == [{"id": 1}]
    await source.close()
    with pytest.raises(ConfigurationError, match=r"The format 'csv' is Loom's own"):
        register_format("csv", JsonLinesFormat)
    with pytest.raises(ConfigurationError, match="The storage 'file' is Loom's own"):
        register_storage("file", MemoryStorage)


def test_a_model_provider_is_found_by_module_and_name(module):
    ai = {"type": "ai", "model": "house:big-1", "prompt": "Say it"}
    pipeline = travelled(definition(transform=ai, providers={"house": {"type": f"{module}:house", "concurrency": 3}}))
    endpoint = endpoint_of("house:big-1", environ={}, providers=pipeline.providers)
    assert (endpoint.provider, endpoint.model) == (f"{module}:house", "big-1")
    assert (endpoint.base_url, endpoint.api_key) == ("https://models.house.example/v1", None)
    assert (endpoint.served_by, endpoint.concurrency) == ("house", 3)
    assert wire_of(endpoint.provider) is openai


def test_a_credential_provider_is_found_by_module_and_name(module):
    assert Credentials().expand(f"postgres://me:${{{module}:Vault:db}}@host/x") == "postgres://me:s3cret@host/x"
    assert Credentials().expand(f"${{{module}:Vault:a:b}}") == "both"
    assert provider_names_in(f"${{{module}:Vault:db}} ${{file:/run/x}} ${{KEY}} ${{file:C:x}}") == [
        f"{module}:Vault",
        "file",
        "env",
        "file",
    ]
    with pytest.raises(MissingCredential, match="Put other into the vault"):
        Credentials().expand(f"${{{module}:Vault:other}}")
    with pytest.raises(MissingCredential, match=r"has no 'Valt'\. Did you mean 'loom_test_all:Vault'"):
        Credentials().expand(f"${{{module}:Valt:db}}")
    with pytest.raises(MissingCredential, match="has no `get` and `remedy`"):
        Credentials().expand(f"${{{module}:Nothing:db}}")


def test_a_word_before_a_colon_is_the_provider_that_has_this_name():
    vault = type("Vault", (), {"remedy": "", "get": lambda self, name: name})()
    assert Credentials({"vault": vault}).expand("${vault:Secrets:db}") == "Secrets:db"


def test_a_gate_with_keys_of_its_own_is_found_by_module_and_name(module, tmp_path):
    gate = {"type": f"{module}:Strict", "least": 0.7}
    pipeline = travelled(definition(evaluate={"evaluators": [{"type": "length"}], "quality_gate": gate}))
    made = gate_of(pipeline.evaluate.quality_gate, tmp_path)
    assert not decide(made, [Score("a", 0.6)], "strict").passed
    plain = travelled(definition(evaluate={"evaluators": [{"type": "length"}], "quality_gate": f"{module}:Strict"}))
    assert decide(gate_of(plain.evaluate.quality_gate, tmp_path), [Score("a", 0.6)], "strict").passed


def sections(reference):
    """Return the definitions that name a plugin of each kind, by the key that names it."""
    return {
        "extract.source": {"extract": {"source": f"{reference}://x"}},
        "extract.options.format": {"extract": {"source": "x.csv", "options": {"format": reference}}},
        "load.destination": {"load": {"destination": f"{reference}://x"}},
        "load.options.format": {"load": {"destination": "y.csv", "options": {"format": reference}}},
        "transform.type": {"transform": {"type": reference}},
        "evaluate.evaluators[0].type": {"evaluate": {"evaluators": [{"type": reference, "threshold": 1}]}},
        "evaluate.quality_gate": {
            "evaluate": {"evaluators": [{"type": "length"}], "quality_gate": {"type": reference, "least": 1}}
        },
        "providers.house.type": {"providers": {"house": {"type": reference}}},
    }


@pytest.mark.parametrize("key", sections(""))
@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("loom_test_absent:Numbers", "Install the package that has this module where Loom runs"),
        ("loom_test_all:Numbres", "the module loom_test_all has no 'Numbres'. Did you mean 'loom_test_all:Numbers'?"),
        ("loom_test_all:number", ""),
    ],
)
def test_a_reference_that_leads_to_no_plugin_is_a_mistake_where_it_is_written(module, tmp_path, key, reference, words):
    with pytest.raises(InvalidDefinition) as caught:
        pipeline = parse(definition(**sections(reference)[key]))
        context = ConnectorContext(tmp_path, Credentials({}))
        open_source(pipeline.extract, context)
        open_destination(pipeline.load, context)
    told = {problem.key: problem.expected for problem in caught.value.problems}
    if key == "evaluate.quality_gate" and not words:  # any object may be a gate, but this one has no keys of its own
        key, words = "evaluate.quality_gate.least", "one of threshold, type"
    assert key in told
    assert words.rstrip("?") in told[key]


@pytest.mark.parametrize(
    ("written", "key", "words"),
    [
        ({"extract": {"source": "loom_test_all:Unfinished://x"}}, "extract.source", "does not define `disconnect`"),
        ({"extract": {"source": "loom_test_all:opens_nothing://x"}}, "extract.source", "which is no source: it has no"),
        ({"extract": {"source": "loom_test_all:Nothing://x"}}, "extract.source", "cannot be made: TypeError"),
        ({"load": {"destination": "loom_test_all:opens_nothing://x"}}, "load.destination", "which is no destination"),
        (
            {"extract": {"source": "x.csv", "options": {"format": "loom_test_all:Nothing"}}},
            "extract.options.format",
            "makes Nothing, which is no format: it has no `reader`, `writer`",
        ),
        ({"providers": {"house": {"type": "loom_test_all:Nothing"}}}, "providers.house.type", "and not a Provider"),
    ],
)  # fmt: skip
def test_a_class_of_another_kind_is_a_mistake_that_says_what_it_lacks(module, tmp_path, written, key, words):
    with pytest.raises(InvalidDefinition) as caught:
        pipeline = parse(definition(**written))
        context = ConnectorContext(tmp_path, Credentials({}))
        open_source(pipeline.extract, context)
        open_destination(pipeline.load, context)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert words in problem.expected


async def test_the_mistake_is_told_with_its_line_and_column(module, tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\nextract:\n  source: loom_test_all:Numbres://x\n"
        "transform: {type: passthrough}\nload:\n  destination: y.csv\n  options: {format: 'loom_test_all:Nothing'}\n"
    )
    told = [each.detail for each in await checks.check(load(tmp_path / "p.yaml"), LoomConfig()) if not each.ok]
    assert any(":3:3: extract.source: found 'loom_test_all:Numbres://x'; expected a plugin" in each for each in told)
    assert any(":7:13: load.options.format: found 'loom_test_all:Nothing'" in each for each in told)


def test_a_worker_without_the_module_says_what_to_install(module, monkeypatch):
    encoded = Plan(pipeline=parse(definition(providers={"house": {"type": f"{module}:house"}}))).encoded()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        PermanentError, match=r"cannot read the plan of the run: .*Install the package that has this mod"
    ):
        Plan.decoded(encoded)
