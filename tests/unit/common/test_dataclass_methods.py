"""Tests that dataclasses whose methods are not compiled do what those of Python do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import operator
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from loom_common.interpreter.dataclass_methods import compile_less

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="newer versions compile a class at once")

REPLACED = ("_init_fn", "_repr_fn", "_cmp_fn", "_hash_fn", "_frozen_get_del_attr")
OPTIONS = [
    {},
    {"frozen": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"slots": True},
    {"order": True},
    {"frozen": True, "order": True},
    {"eq": False},
    {"eq": False, "frozen": True},
    {"unsafe_hash": True},
    {"repr": False},
]
BODIES: list[dict[str, Any]] = [
    {"__annotations__": {}},
    {"__annotations__": {"value": int}},
    {"__annotations__": {"value": Any, "other": Any, "more": Any}, "more": None},
    {
        "__annotations__": {"value": Any, "hidden": Any, "kind": ClassVar[str]},
        "kind": "k",
        "hidden": dataclasses.field(default=0, repr=False, compare=False),
    },
    {"__annotations__": {"self": Any, "cls": Any, "name": Any, "größe": Any}, "größe": 1.5},
]
VALUES = (1, 2, "a", math.nan, (1, (2,)), [1])


def dataclass_of(body: dict[str, Any], options: dict[str, Any]) -> type:
    return dataclasses.dataclass(**options)(type("Thing", (), {"__doc__": "A thing.", **copy.copy(body)}))


def built(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what is made where methods are not compiled. Other tests keep Python's own functions."""
    with monkeypatch.context() as patched:
        for name in REPLACED:
            patched.setattr(dataclasses, name, getattr(dataclasses, name))
        compile_less()
        return make()


def outcome(action: Callable[..., Any], *arguments: Any) -> Any:
    try:
        result = action(*arguments)
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), str(error)
    return result


def behaviour(cls: type) -> list[Any]:
    """Return what comes of everything that the methods are for."""

    class Below(cls):  # type: ignore[misc]
        """Inherits, and has attributes of its own."""

    names = [each.name for each in dataclasses.fields(cls)]
    required = [each.name for each in dataclasses.fields(cls) if each.default is dataclasses.MISSING]
    made = [kind(**dict.fromkeys(required, value)) if required else kind() for kind in (cls, Below) for value in VALUES]
    seen: list[Any] = [str(inspect.signature(cls)), outcome(cls, 1, 2, 3, 4, 5), outcome(lambda: cls(unknown=1))]
    for thing in made:
        text = repr(thing)
        seen += [text if " object at 0x" not in text else "an object", outcome(dataclasses.asdict, thing)]
        seen += [thing == copy.copy(thing), outcome(lambda each: hash(each) == hash(copy.copy(each)), thing)]
        for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
            seen += [outcome(compare, thing, each) for each in [*made, 3]]
        for name in [*names, "unknown"]:
            seen += [outcome(setattr, thing, name, 5), outcome(delattr, thing, name), outcome(getattr, thing, name)]
    return seen


@pytest.mark.parametrize("body", BODIES, ids=lambda body: ",".join(body["__annotations__"]) or "nothing")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "plain")
def test_methods_that_are_not_compiled_do_what_compiled_ones_do(options, body, monkeypatch):
    lean = built(lambda: dataclass_of(body, options), monkeypatch)
    theirs = dataclass_of(body, options)
    assert behaviour(lean) == behaviour(theirs)
    names = ("__init__", "__repr__", "__eq__", "__lt__", "__hash__", "__setattr__", "__delattr__", "__match_args__")
    for name in names:
        assert (name in lean.__dict__) is (name in theirs.__dict__)
        ours, other = getattr(lean, name), getattr(theirs, name)
        assert getattr(ours, "__qualname__", "") == getattr(other, "__qualname__", "")


def test_a_thing_that_holds_itself_is_shown(monkeypatch):
    made = built(lambda: dataclass_of(BODIES[1], {}), monkeypatch)(None)
    made.value = made
    assert repr(made) == "Thing(value=...)"


def test_a_frozen_thing_inherits_from_a_frozen_one(monkeypatch):
    def both() -> type:
        upper = dataclass_of(BODIES[1], {"frozen": True})
        lower = type("Lower", (upper,), {"__annotations__": {"added": int}, "__doc__": "More."})
        return dataclasses.dataclass(frozen=True)(lower)

    ours, theirs = built(both, monkeypatch)(1, 2), both()(1, 2)
    assert repr(ours) == repr(theirs) == "Lower(value=1, added=2)"
    for name in ("value", "added", "unknown"):
        said = outcome(setattr, ours, name, 3)
        assert said == outcome(setattr, theirs, name, 3)
        assert said == (dataclasses.FrozenInstanceError, f"cannot assign to field {name!r}")


def test_a_field_without_a_default_after_one_with_a_default_is_refused_where_the_class_is_made(monkeypatch):
    body = {"__annotations__": {"value": int, "other": int}, "value": 1}
    said = outcome(built, lambda: dataclass_of(body, {}), monkeypatch)
    assert said == outcome(dataclass_of, body, {})
    assert said[0] is TypeError


def test_a_thing_is_made_by_the_method_of_the_class_that_it_inherits_from(monkeypatch):
    upper = built(lambda: dataclass_of(BODIES[1], {"frozen": True, "slots": True}), monkeypatch)

    class Lower(upper):  # type: ignore[misc, valid-type]
        """Makes more of its value."""

        def __init__(self, value: int) -> None:
            super().__init__(value + 1)

    assert [Lower(1).value, Lower(2).value, upper(1).value] == [2, 3, 1]
    assert "__init__" in vars(Lower)
    assert inspect.isfunction(vars(upper)["__init__"])


def test_python_compiles_only_how_a_thing_is_made_in_a_process_of_looms_own_once_one_is():
    code = (
        "from loom_common.service import entry\nentry.begin()\nimport dataclasses\ncompiled = []\n"
        "create = dataclasses._create_fn\n"
        "dataclasses._create_fn = lambda name, *args, **named: compiled.append(name) or create(name, *args, **named)\n"
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass Thing:\n    'A thing.'\n    value: int\n"
        "print(*compiled, 'then', Thing(1), Thing(value=2), *compiled)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["then", "Thing(value=1)", "Thing(value=2)", "__init__"]
