import json

import jsonschema
from ruamel.yaml import YAML

from loom_common.contracts.encoding.message_types import MESSAGES
from loom_dev.schemas import differences, file_schemas, schemas
from support.documents import ROOT


def test_every_message_has_a_schema_named_for_its_type():
    documents = {name: json.loads(text) for name, text in schemas().items()}

    assert {f"{message.type}.json" for message in MESSAGES} == documents.keys()
    assert all(name == f"{document['$id']}.json" for name, document in documents.items())


def test_the_schema_of_tests_accepts_those_of_the_example_and_refuses_mistakes():
    schema = jsonschema.Draft202012Validator(json.loads(file_schemas()["files/tests.json"]))
    for path in ROOT.glob("examples/*/tests/*.yaml"):
        written = YAML(typ="safe", pure=True).load(path)
        assert [each.message for each in schema.iter_errors(written)] == []
        written["tests"][0]["expect"]["exakt"] = {}
        assert not schema.is_valid(written)


def test_each_kind_of_drift_is_named():
    changes = differences({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"})

    assert changes == ["a: missing", "b: differs", "d: no such message"]
