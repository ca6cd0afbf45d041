"""Makes dataclasses in less than half of the time that Python 3.11 and 3.12 take (ADR 56).

They write the text of `__repr__`, `__eq__`, `__hash__`, `__setattr__` and `__delattr__` for each class, and compile
each by itself. Most are never called: a command makes some hundred classes and ends. Here these methods are closures
over the names of the fields, and do the same. `__init__`, which is called most, is still compiled."""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from reprlib import recursive_repr
from types import FunctionType as _Function
from typing import Any

_Field = dataclasses.Field[Any]
_Values = Callable[[object], tuple[Any, ...]]

_COMPARISONS = {"==": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def compile_less() -> None:
    """Let `dataclasses` take the functions of this module from now on. A process of Loom's own calls it before it
    imports large packages. Python 3.13 and newer compile all methods of a class at once, and stay as they are."""
    if sys.version_info < (3, 13):
        for function in (_init_fn, _repr_fn, _cmp_fn, _hash_fn, _frozen_get_del_attr):
            setattr(dataclasses, function.__name__, function)


class _CompiledAtFirstUse:
    """Stands in a class for its `__init__`, which takes its place as soon as it is called or looked at."""

    def __init__(self, compiled: Callable[[], _Function]) -> None:
        self._compiled = compiled

    def __get__(self, instance: object, cls: type) -> Callable[..., None]:
        made = self._compiled()
        for each in cls.__mro__:
            if each.__dict__.get("__init__") is self:
                made.__qualname__ = f"{each.__qualname__}.__init__"
                each.__init__ = made  # type: ignore[misc]  # which is what this is for
        return made if instance is None else made.__get__(instance, cls)


_python_init_fn: Callable[..., _Function] = getattr(dataclasses, "_init_fn")  # noqa: B009 - it is private


# They have the names and parameters of the functions of `dataclasses` in whose place they are called.


def _init_fn(fields: Sequence[_Field], std_fields: Sequence[_Field], *others: Any) -> object:
    compiled = partial(_python_init_fn, fields, std_fields, *others)
    has_default = [
        field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        for field in std_fields
        if field.init
    ]
    in_order = has_default == sorted(has_default)
    return _CompiledAtFirstUse(compiled) if in_order else compiled()  # which raises `TypeError`


def _repr_fn(fields: Sequence[_Field], _globals: Mapping[str, Any]) -> Callable[[object], str]:
    names = [field.name for field in fields]

    @recursive_repr()
    def __repr__(self: object) -> str:  # noqa: N807 - becomes a method
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _cmp_fn(name: str, op: str, self_tuple: str, _other_tuple: str, globals: Mapping[str, Any]) -> Callable[..., Any]:  # noqa: A002, ARG001 - as it is called
    values = _values_of([each.removeprefix("self.") for each in self_tuple.strip("()").split(",") if each])
    compare = _COMPARISONS[op]

    def method(self: object, other: object) -> Any:
        return compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

    method.__name__ = name
    return method


def _hash_fn(fields: Sequence[_Field], _globals: Mapping[str, Any]) -> Callable[[object], int]:
    values = _values_of([field.name for field in fields])

    def __hash__(self: object) -> int:  # noqa: N807 - becomes a method
        return hash(values(self))

    return __hash__


def _frozen_get_del_attr(
    cls: Any, fields: Sequence[_Field], _globals: Mapping[str, Any]
) -> tuple[Callable[[object, str, Any], None], Callable[[object, str], None]]:
    names = frozenset(field.name for field in fields)

    def __setattr__(self: object, name: str, value: Any) -> None:  # noqa: N807 - becomes a method
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: object, name: str) -> None:  # noqa: N807 - becomes a method
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return __setattr__, __delattr__


def _values_of(names: Sequence[str]) -> _Values:
    """Return a function that returns the values of these attributes as a tuple."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])
