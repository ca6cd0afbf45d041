import json

from loom_common.contracts.encoding.message_types import MESSAGES
from loom_dev.schemas import differences, schemas


def test_every_message_has_a_schema_named_for_its_type():
    documents = {name: json.loads(text) for name, text in schemas().items()}

    assert {f"{message.type}.json" for message in MESSAGES} == documents.keys()
    assert all(name == f"{document['$id']}.json" for name, document in documents.items())


def test_each_kind_of_drift_is_named():
    changes = differences({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"})

    assert changes == ["a: missing", "b: differs", "d: no such message"]
