"""Tests transforms, connectors, model providers and credential providers of installed packages."""

from __future__ import annotations

import sys

import pytest

from loom.plugins import Provider, list_plugins, refuse_registered
from loom.project.config import LoomConfig
from loom.project.prompt_files import PromptFiles
from loom.requests import runs
from loom_ai.http.endpoints import endpoint_of
from loom_ai.wire import openai
from loom_ai.wire.wires import wire_of
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.pipeline import models_of
from loom_common.domain.definition.reader import parse
from loom_common.domain.model_options.providers import split_model
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError, InvalidDefinition, MissingCredential, PluginUnusable
from loom_common.plugins import registry
from loom_common.plugins.kinds import Kind
from loom_common.worker.context import Context
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source
from loom_transformer.transforms.python import plugin_transform
from support.plugin_packages import plugin_packages, problems_of

SHOUT = """
from loom.plugins import PluginTransform

LOOM_PLUGIN_API = 1


class Shout(PluginTransform):
    marks: int = 1

    def build(self):
        return lambda record: {"text": record["text"].upper() + "!" * self.marks}
"""
NUMBERS = """
from loom_connectors.custom import DataConnector, ExtractResult, Record
from loom_connectors.options import Options

LOOM_PLUGIN_API = 1


class NumbersOptions(Options):
    most: int = 3


class Numbers(DataConnector):
    options = NumbersOptions

    async def connect(self): pass
    async def disconnect(self): pass
    async def load(self, records, destination): raise NotImplementedError
    async def validate_connection(self): return True

    async def extract(self, query, batch_size=100, cursor=None):
        records = [Record(str(number), {"id": number}) for number in range(self.config["most"])]
        return ExtractResult(records, len(records), has_more=False)
"""
PROVIDER = """
from loom.plugins import Provider

LOOM_PLUGIN_API = 1
house = Provider("https://models.house.example/v1", "${HOUSE_KEY}")
odd = Provider("https://odd.example/v1", protocol=object())
"""
VAULT = """
LOOM_PLUGIN_API = 1


class Vault:
    remedy = "Put {name} into the vault."

    def get(self, name):
        return {"db": "s3cret"}.get(name)
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    with plugin_packages(tmp_path / "site", monkeypatch) as packages:
        yield packages


def definition(**changes):
    return {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv"},
        **changes,
    }


async def test_a_transform_of_a_package_brings_its_own_keys(packages):
    packages.install("loom-test-shout", {"loom.transforms/shout": "loom_test_shout:Shout"}, SHOUT)
    pipeline = parse(definition(transform={"type": "shout", "marks": 2}))
    assert Plan.decoded(Plan(pipeline=pipeline).encoded()).pipeline.transform == pipeline.transform
    transform = plugin_transform(pipeline.transform, None)
    (outcome,) = await transform.apply("run", [ExtractedRecord(id="1", input={"text": "no"})], Context())
    assert outcome.output == {"text": "NO!!"}


def test_mistakes_in_the_keys_of_a_transform_are_told(packages):
    packages.install("loom-test-shout", {"loom.transforms/shout": "loom_test_shout:Shout"}, SHOUT)
    wrong, strange = problems_of(definition(transform={"type": "shout", "marks": "many", "prompt": "Shout."}))
    assert wrong.startswith("transform.marks: found 'many'")
    assert strange == "transform.prompt: found 'Shout.'; expected no `prompt` in a transform of type shout."
    (unknown,) = problems_of(definition(transform={"type": "shuot"}))
    assert unknown.endswith("metrics, enrich, shout. Did you mean 'shout'?")


RESNET = """
from loom.plugins import PluginTransform

LOOM_PLUGIN_API = 1


class Resnet(PluginTransform):
    model: str
    prompt: str = ""

    def build(self):
        return lambda record: {"model": self.model}
"""


def test_a_transform_of_a_package_may_have_keys_that_a_built_in_one_has(packages, tmp_path):
    packages.install("loom-test-resnet", {"loom.transforms/resnet": "loom_test_resnet:Resnet"}, RESNET)
    written = definition(transform={"type": "resnet", "model": "opnai:x", "prompt": "no_such.txt"})
    pipeline = parse(written)
    assert models_of(pipeline) == []
    assert PromptFiles(written, tmp_path, None).read() == []
    (missing,) = problems_of(definition(transform={"type": "resnet"}))
    assert missing.endswith("expected `model`, which a transform of type resnet needs.")


async def test_a_source_of_a_package_is_read_by_its_scheme(packages, tmp_path):
    packages.install("loom-test-numbers", {"loom.sources/numbers": "loom_test_numbers:Numbers"}, NUMBERS)
    context = ConnectorContext(tmp_path, Credentials({}))
    source = open_source(ExtractConfig(source="numbers://all", options={"most": 2}), context)
    assert [record.data for record in (await source.read(None, 10)).records] == [{"id": 0}, {"id": 1}]
    usual = open_source(ExtractConfig(source="numbers://all"), context)
    assert len((await usual.read(None, 10)).records) == 3
    with pytest.raises(InvalidDefinition, match=r"extract\.options\.mots: found the unknown key 'mots'"):
        open_source(ExtractConfig(source="numbers://all", options={"mots": 2}), context)
    with pytest.raises(InvalidDefinition, match="numbers://"):
        open_source(ExtractConfig(source="number://all"), context)


async def test_a_format_of_a_package_is_known_by_the_ending_of_a_name(packages, tmp_path):
    code = "from loom_connectors.formats.jsonl import JsonLinesFormat as Lines\nLOOM_PLUGIN_API = 1\n"
    packages.install("loom-test-lines", {"loom.formats/lines": "loom_test_lines:Lines"}, code)
    (tmp_path / "x.lines").write_text('{"id": 1}\n')
    source = open_source(ExtractConfig(source="x.lines"), ConnectorContext(tmp_path, Credentials({})))
    assert [record.data for record in (await source.read(None, 10)).records] == [{"id": 1}]
    await source.close()


def test_a_model_provider_of_a_package_is_known_by_its_name(packages):
    packages.install("loom-test-house", {"loom.providers/house": "loom_test_house:house"}, PROVIDER)
    assert split_model("house:big-1") == ("house", "big-1")
    assert split_model("llama3.2:1b") == ("openai", "llama3.2:1b")
    endpoint = endpoint_of("house:big-1", environ={})
    assert (endpoint.provider, endpoint.base_url) == ("house", "https://models.house.example/v1")
    assert wire_of("house") is openai


def test_a_protocol_that_is_none_is_refused(packages):
    packages.install("loom-test-house", {"loom.providers/odd": "loom_test_house:odd"}, PROVIDER)
    with pytest.raises(PluginUnusable, match="The protocol of the provider 'odd' lacks functions"):
        wire_of("odd")


def test_a_credential_provider_of_a_package_is_asked(packages):
    packages.install("loom-test-vault", {"loom.credentials/safe": "loom_test_vault:Vault"}, VAULT)
    assert Credentials().expand("postgres://me:${safe:db}@host/x", in_url=True) == "postgres://me:s3cret@host/x"
    with pytest.raises(MissingCredential, match="Put other into the vault"):
        Credentials().expand("${safe:other}")
    with pytest.raises(MissingCredential, match="no credential provider 'valt'; known: env, file, aws, vault, safe"):
        Credentials().expand("${valt:db}")


def test_a_list_shows_loom_s_own_and_those_of_packages(packages):
    packages.install("loom-test-vault", {"loom.credentials/safe": "loom_test_vault:Vault"}, "import no_such")
    listed = {each.name: each for each in list_plugins(Kind.CREDENTIAL)}
    assert [(each.package, each.problem) for each in listed.values()] == [
        *[("loom", None)] * 4,
        ("loom-test-vault", None),
    ]
    assert "loom_test_vault" not in sys.modules
    (broken,) = [each for each in list_plugins(check=True) if each.package == "loom-test-vault"]
    assert "No module named 'no_such'" in (broken.problem or "")


AI = {"type": "ai", "model": "m", "prompt": "{{ input }}"}


@pytest.mark.parametrize(
    ("kind", "name", "changes"),
    [
        (Kind.SOURCE, "numbers", {"extract": {"source": "numbers://all"}}),
        (Kind.SOURCE, "numbers", {"extract": {"source": "numbers+https://all"}}),
        (Kind.DESTINATION, "numbers", {"load": {"destination": "numbers://all"}}),
        (Kind.DESTINATION, "numbers", {"load": {"destination": "y.csv", "fallback": "numbers://all"}}),
        (Kind.STORAGE, "bucket", {"extract": {"source": "bucket://x/y.csv"}}),
        (Kind.STORAGE, "bucket", {"load": {"destination": "y.csv", "fallback": "bucket://x/y.csv"}}),
        (Kind.FORMAT, "lines", {"extract": {"source": "bucket://x/y.lines"}}),
        (Kind.FORMAT, "lines", {"load": {"destination": "y.txt", "options": {"format": "Lines"}}}),
        (Kind.FORMAT, "lines", {"load": {"destination": "y.csv", "fallback": "z.lines"}}),
        (Kind.CREDENTIAL, "safe", {"load": {"destination": "sqlite:///${safe:db}?table=t"}}),
        (Kind.CREDENTIAL, "safe", {"load": {"destination": "y.csv", "fallback": "${safe:db}"}}),
        (Kind.CREDENTIAL, "safe", {"transform": {**AI, "api_key": "${safe:key}"}}),
        (Kind.CREDENTIAL, "safe", {"transform": {**AI, "headers": {"X-Team": "${safe:key}"}}}),
        (Kind.CREDENTIAL, "safe", {"providers": {"openai": {"api_key": "${safe:key}"}}}),
        (Kind.SCORER, "mine", {"transform": {"type": "scorer", "scorer": "mine", "field": "text"}}),
        (Kind.GATE, "strict", {"evaluate": {"evaluators": [{"type": "length"}], "quality_gate": "strict"}}),
        (Kind.PROVIDER, "house", {"transform": {**AI, "model": "house:big"}}),
        (
            Kind.PROVIDER,
            "house",
            {"transform": {**AI, "fallback": ["house:big"]}, "providers": {"other": {"base_url": "http://h/v1"}}},
        ),
    ],
)
def test_what_one_process_registered_is_refused_for_a_cluster(monkeypatch, kind, name, changes):
    monkeypatch.setattr(registry, "_registered", {})
    refuse_registered(parse(definition(**changes)))
    plugin = Provider("http://h/v1") if kind is Kind.PROVIDER else str
    monkeypatch.setitem(registry._registered, (kind, name), plugin)
    with pytest.raises(ConfigurationError, match=f"The {kind} '{name}' was registered in this Python process"):
        refuse_registered(parse(definition(**changes)))


def test_a_key_that_an_installed_provider_takes_from_a_registered_vault_is_refused_for_a_cluster(packages, monkeypatch):
    code = "from loom.plugins import Provider\nLOOM_PLUGIN_API = 1\nhouse = Provider('http://h/v1', '${safe:key}')\n"
    packages.install("loom-test-house", {"loom.providers/house": "loom_test_house:house"}, code)
    monkeypatch.setattr(registry, "_registered", {(Kind.CREDENTIAL, "safe"): str})
    with pytest.raises(ConfigurationError, match="The credential 'safe' was registered in this Python process"):
        refuse_registered(parse(definition(transform={**AI, "model": "house:big"})))


async def test_a_run_that_the_command_line_asks_of_a_cluster_may_name_nothing_registered(monkeypatch, tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\nextract: {source: x.csv}\ntransform: {type: python, function: 'code:same'}\n"
        "load: {destination: 'numbers://all'}\n"
    )
    (tmp_path / "code.py").write_text(
        "from loom.connectors import DataConnector, register_connector\n"
        "register_connector('numbers', DataConnector)\n\ndef same(record):\n    return record\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})
    config = LoomConfig().for_cluster()
    with pytest.raises(ConfigurationError, match="The destination 'numbers' was registered in this Python process"):
        await runs.prepare("p.yaml", config, {}, sample=False, wait=False, say=print)


@pytest.mark.parametrize(
    ("group", "code", "words"),
    [
        ("sources", "class Bad: pass", None),
        ("sources", "from loom.connectors import DataConnector\nclass Bad(DataConnector): pass", "does not define"),
        ("sources", "Bad = 3", "is no DataConnector"),
        ("formats", "class Bad: pass", "makes Bad, which is no format"),
        ("storages", "class Bad: pass", "makes Bad, which is no storage"),
        ("gates", "class Bad: pass", "has no method apply"),
        ("scorers", "Bad = 3", "not a function or a class"),
        ("providers", "class Bad: pass", "and not a Provider"),
        ("credentials", "class Bad: pass", "has no `get` and `remedy`"),
    ],
)
def test_a_check_of_the_list_says_what_a_plugin_of_each_kind_lacks(packages, group, code, words):
    packages.install("loom-test-bad", {f"loom.{group}/bad": "loom_test_bad:Bad"}, f"LOOM_PLUGIN_API = 1\n{code}\n")
    (listed,) = [each for each in list_plugins(check=True) if each.package == "loom-test-bad"]
    assert listed.problem is None if words is None else words in listed.problem
