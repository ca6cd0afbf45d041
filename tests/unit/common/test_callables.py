"""Tests the names of functions, classes and objects that Python code gave to a pipeline."""

from collections import OrderedDict
from functools import partial

import pytest

from loom.sdk.callables import for_workers, with_names
from loom_common.errors import ConfigurationError, PluginUnusable
from loom_common.plugins import callables
from loom_common.plugins.callables import given, importable, reference_to


@pytest.fixture(autouse=True)
def _none_kept(monkeypatch):
    monkeypatch.setattr(callables, "_kept", OrderedDict())


def scored(text):
    return {"length": len(text)}


def more_than(limit):
    return lambda value: value > limit and value in {"a", "b"}


def test_one_code_has_one_name_and_the_latest_object_has_it():
    first, second = more_than(3), more_than(3)
    assert reference_to(first) == reference_to(second)
    assert given(reference_to(first)) is first
    assert reference_to(more_than(4)) != reference_to(first)


def test_objects_that_hold_more_than_plain_values_have_names_of_their_own():
    one, other = [], []
    functions = [lambda value, into=into: into.append(value) for into in (one, other)]
    names = [reference_to(each) for each in functions]
    assert names[1] == f"{names[0]}_2"
    assert [given(name) for name in names] == functions
    assert reference_to(functions[0]) == names[0]
    assert reference_to(partial(scored, "a")) != reference_to(partial(scored, "b"))


def test_what_was_not_asked_for_the_longest_is_forgotten(monkeypatch):
    monkeypatch.setattr(callables, "MOST", 2)
    first, second = reference_to(more_than(1)), reference_to(more_than(2))
    given(first)
    reference_to(more_than(3))
    assert given(first)(2) is False
    with pytest.raises(PluginUnusable, match="Build the same pipeline here before"):
        given(second)


def test_workers_get_the_name_that_they_can_import():
    said = with_names({"transform": scored, "load": {"destination": scored}, "evaluate": {"quality_gate": scored}})
    assert for_workers(said) == {
        "transform": {"type": "python", "function": f"{__name__}:scored"},
        "load": {"destination": f"python:{__name__}:scored"},
        "evaluate": {"quality_gate": f"{__name__}:scored"},
    }


def of_the_script(record):
    return record


of_the_script.__module__ = "__main__"


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (more_than(1), "has no name"),
        (partial(scored, "a"), "is an object of the class partial"),
        (of_the_script, "is defined in the script or notebook that runs"),
        (pytest.Config.InvocationParams, r"is defined inside of another function or class \(Config.InvocationParams\)"),
    ],
)
def test_what_workers_cannot_import_is_refused_with_the_reason(thing, why):
    with pytest.raises(PluginUnusable, match=why):
        importable(reference_to(thing))
    with pytest.raises(ConfigurationError, match=f"cannot run in a cluster: .*{why}.*Write it at the top of a module"):
        for_workers({"transform": {"function": reference_to(thing)}})


def test_lists_take_functions_under_names_of_their_own():
    said = with_names(
        {
            "quality_checks": [scored, {"function": scored, "column": "text"}, {"check": "not_null", "column": "id"}],
            "tools": [scored],
            "steps": [{"name": "count", "function": scored}],
        }
    )
    name = reference_to(scored)
    assert said["quality_checks"] == [
        {"check": "custom", "function": name, "name": "scored"},
        {"check": "custom", "function": name, "column": "text", "name": "text_scored"},
        {"check": "not_null", "column": "id"},
    ]
    assert said["tools"] == [{"function": name, "name": "scored"}]
    assert said["steps"] == [{"type": "python", "name": "count", "function": name}]
