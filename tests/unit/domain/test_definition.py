"""Every mistake in a definition is reported at once, with what was found, what was expected and what was meant."""

import copy

import pytest

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.errors import InvalidDefinition

GOOD = {
    "name": "reviews",
    "extract": {"source": "reviews.csv", "key": "id"},
    "transform": {"type": "passthrough"},
    "evaluate": {"evaluators": [{"type": "range", "field": "score", "min": 0, "max": 1, "threshold": 1}]},
    "load": {"destination": "out.csv"},
}


def with_(path, value):
    definition = copy.deepcopy(GOOD)
    here = definition
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    return definition


def problems(definition):
    with pytest.raises(InvalidDefinition) as caught:
        parse(definition)
    return caught.value.problems


def test_a_good_definition_parses():
    assert parse(GOOD).evaluate.quality_gate.type == "all_pass"


TYPES = "one of ai, embed, scorer, python, passthrough, metrics"


@pytest.mark.parametrize(
    ("path", "value", "key", "expected", "suggestion"),
    [
        (("extract", "batchsize"), 10, "extract.batchsize", "one of batch_mb, batch_size", "batch_size"),
        (("transform", "type"), "passthru", "transform.type", TYPES, "passthrough"),
        (("transform", "type"), "ai", "transform", "`prompt` and `model`", None),
        (("transform", "model"), "gpt-4o", "transform.model", "no `model` in a transform of type passthrough", None),
        (("extract", "partitions"), 0, "extract.partitions", "a whole number from 1 to 64, or `auto`", None),
        (("extract", "partitions"), "many", "extract.partitions", "a whole number from 1 to 64, or `auto`", None),
        (("name",), "My Pipeline", "name", "lower case letters", None),
        (("evaluate", "quality_gate"), {"type": "weighted"}, "evaluate.quality_gate", "`threshold`", None),
        (
            ("evaluate", "evaluators", 0, "threshold"),
            1.5,
            "evaluate.evaluators[0].threshold",
            "at most",
            None,
        ),
        (("evaluate", "evaluators", 0, "type"), "rnage", "evaluate.evaluators[0].type", "one of exact_match", "range"),
        (("load", "destination"), "postgres://u:secret@h/db", "load.destination", "credential reference", None),
        (("transform", "output"), {"a": "strnig"}, "transform.output.a", "one of string, number", None),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(path, value, key, expected, suggestion):
    (problem,) = problems(with_(path, value))
    assert problem.key == key
    assert expected in problem.expected
    assert problem.suggestion == suggestion


def test_all_mistakes_are_reported_together():
    definition = copy.deepcopy(GOOD)
    del definition["load"]
    definition["extract"]["batch_size"] = 0
    definition["versoin"] = "1"
    assert {problem.key for problem in problems(definition)} == {"load", "extract.batch_size", "versoin"}


def test_an_upsert_goes_by_its_own_key_or_by_that_of_the_records():
    upsert = with_(("load", "mode"), "upsert")
    assert parse(upsert)
    del upsert["extract"]["key"]
    (problem,) = problems(upsert)
    assert (problem.key, problem.expected) == ("load", "`key`, here or in `extract`, which mode upsert needs")
    upsert["load"]["key"] = "id"
    assert parse(upsert)


def test_no_problem_shows_a_password():
    (problem,) = problems(with_(("extract", "source"), "postgres://u:hunter2@h/db"))
    assert "hunter2" not in str(problem)


def test_a_credential_reference_is_no_password():
    assert parse(with_(("extract", "source"), "postgres://${USER}:${PASSWORD}@h/db"))


def test_two_evaluators_need_two_names():
    twice = [{"type": "length", "threshold": 1}, {"type": "length", "threshold": 1}]
    (problem,) = problems(with_(("evaluate", "evaluators"), twice))
    assert "length stands twice" in problem.expected


def test_a_threshold_may_be_left_out_only_under_a_weighted_gate():
    bare = [{"type": "length", "name": "short"}]
    (problem,) = problems(with_(("evaluate", "evaluators"), bare))
    assert "a `threshold` for short" in problem.expected
    definition = with_(("evaluate", "evaluators"), bare)
    definition["evaluate"]["quality_gate"] = {"type": "weighted", "threshold": 0.5}
    assert parse(definition)


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        (
            {"type": "pyhton", "function": "no reference", "output": {"a": "strnig"}},
            {"transform.type": "python", "transform.function": None, "transform.output.a": None},
        ),
        (
            {"type": "llm", "prompt": "Say it", "model": "m", "temperature": 9},
            {"transform.type": None, "transform.temperature": None},
        ),
        ({"prompt": "Say it", "model": "m", "max_tokens": 0}, {"transform.type": None, "transform.max_tokens": None}),
        ({"type": "scorer", "scorer": "vader", "feild": "text"}, {"transform": None, "transform.feild": "field"}),
        ({"type": "ai", "prompt": "Say it", "function": "a:b"}, {"transform": None, "transform.function": None}),
        ("ai", {"transform": None}),
    ],
)
def test_every_mistake_in_a_transform_is_told_whatever_its_type(transform, told):
    assert {problem.key: problem.suggestion for problem in problems(with_(("transform",), transform))} == told


def test_an_unknown_key_of_a_transform_is_told_with_the_keys_of_its_type_alone():
    (problem,) = problems(with_(("transform", "otput"), "text"))
    assert problem.expected == (
        "one of calibration, fallback, max_attempts, max_failure_rate, max_failures, on_failure, output, schema, type"
    )
    assert problem.suggestion == "output"


def test_the_json_schema_of_a_pipeline_tells_transforms_apart_by_their_type():
    schema = Pipeline.model_json_schema()
    (built_in,) = [each for each in schema["properties"]["transform"]["anyOf"] if "discriminator" in each]
    assert built_in["discriminator"]["propertyName"] == "type"
    assert set(built_in["discriminator"]["mapping"]) == set(TRANSFORMS)


@pytest.mark.parametrize(
    ("transform", "made_by"),
    [
        ({"type": "ai", "prompt_path": "Say it", "model": "m"}, "m"),
        ({"type": "scorer", "scorer": "vader", "field": "text"}, "vader"),
        ({"type": "python", "function": "a:b"}, "a:b"),
        ({"type": "passthrough"}, None),
    ],
)
def test_a_transform_is_read_written_and_read_again_by_the_model_of_its_type(transform, made_by):
    read = parse(with_(("transform",), transform))
    assert type(read.transform) is TRANSFORMS[transform["type"]]
    assert read.transform.made_by == made_by
    assert parse(read.model_dump(mode="json", by_alias=True, exclude_defaults=True)) == read
    assert Pipeline.model_validate(dict(read)) == read


@pytest.mark.parametrize(
    ("check", "key", "meant"),
    [
        ({"chekc": "not_null", "column": "a"}, "chekc", "check"),
        ({"check": "type", "colum": "a", "type": "string"}, "colum", "column"),
        ({"check": "type", "column": "a", "typ": "string"}, "typ", "type"),
    ],
)
def test_a_misspelt_key_of_a_check_is_named_whatever_its_kind_is_called(check, key, meant):
    told = {problem.key: problem.suggestion for problem in problems(with_(["extract", "quality_checks"], [check]))}
    assert told.pop(f"extract.quality_checks[0].{key}") == meant
    assert all(place.endswith(f".{meant}") for place in told)  # that it is missing may be told, too


def test_a_misspelt_type_of_an_evaluator_is_named():
    evaluate = {"evaluators": [{"tpye": "exact_match", "reference_field": "a", "threshold": 1}]}
    with pytest.raises(InvalidDefinition) as caught:
        parse({**GOOD, "evaluate": evaluate})
    (problem,) = caught.value.problems
    assert (problem.key, problem.suggestion) == ("evaluate.evaluators[0].tpye", "type")


def test_a_misspelt_key_of_a_section_with_another_name_inside_is_named():
    (problem,) = problems(with_(["extract", "schema"], {"columsn": "evolve"}))
    assert (problem.key, problem.suggestion) == ("extract.schema.columsn", "columns")


@pytest.mark.parametrize(
    ("said", "extract", "keys"),
    [
        ("24h", {"key": "id"}, ("id",)),
        ({"window": "2d", "key": ["a", "b"]}, {}, ("a", "b")),
        ({"window": "24h"}, {"key": ["x", "y"]}, ("x", "y")),
    ],
)
def test_a_record_that_comes_again_is_known_by_a_key(said, extract, keys):
    assert parse(GOOD | {"ingest": said, "extract": {"source": "a.csv", **extract}}).ingest_keys == keys
    assert parse(GOOD).ingest_keys == ()
    [problem] = problems(GOOD | {"ingest": {"window": "24h"}, "extract": {"source": "a.csv"}})
    assert (problem.key, "by which a record is known again" in problem.expected) == ("ingest", True)
