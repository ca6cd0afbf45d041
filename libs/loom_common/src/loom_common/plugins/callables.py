"""Keeps the functions, classes and objects that Python code gave a pipeline where its file would name one.

Each gets a name of the form `loom.this_process:NAME`, so that a definition stays text. The name follows from where the
object is defined and from its code: a process that builds the same pipeline again gives it the same names, and can go
on with a run of the process before."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import OrderedDict
from types import CodeType, FunctionType
from typing import Any

from loom_common.errors import PluginUnusable

MODULE = "loom.this_process"
"""Stands for the module in the name of what was given as an object. There is no such module."""
MOST = 10_000
"""Says how many objects are kept. Beyond that, those that were not asked for the longest are forgotten."""
_PLAIN = (str, bytes, int, float, bool, type(None))
_NO_LETTER = re.compile(r"\W+")
_lock = threading.Lock()
_kept: OrderedDict[str, Any] = OrderedDict()


def reference_to(thing: Any) -> str:
    """Keep an object, and return the name by which it is found in this process."""
    base = f"{_NO_LETTER.sub('_', simple_name(thing)).strip('_') or 'object'}_{_fingerprint(thing)}"
    with _lock:
        name, number = base, 2
        while name in _kept and not _same(_kept[name], thing):
            name, number = f"{base}_{number}", number + 1
        _kept[name] = thing
        _kept.move_to_end(name)
        while len(_kept) > MOST:
            _kept.popitem(last=False)
    return f"{MODULE}:{name}"


def simple_name(thing: Any) -> str:
    """Return what an object is called: its own name, or that of its class; a lambda is called `lambda`."""
    name: str = getattr(thing, "__name__", None) or type(thing).__name__
    return name.strip("<>")


def is_given(reference: str) -> bool:
    """Tell whether a name is that of an object which Python code gave."""
    return reference.partition(":")[0] == MODULE


def given(reference: str) -> Any:
    """Return the object of a name. Raises `PluginUnusable` where this process has none."""
    name = reference.partition(":")[2]
    with _lock:
        if name in _kept:
            _kept.move_to_end(name)
            return _kept[name]
    raise PluginUnusable(
        f"'{reference}' stands for an object that a Python process gave its pipeline, and this process does not have "
        "it. Build the same pipeline here before, or name the object `module:name` in the pipeline, which every "
        "process can import."
    )


def importable(reference: str) -> str:
    """Return the `module:name` by which other processes find the object of a name. Raises `PluginUnusable` where they
    cannot import it, or this process has no such object."""
    thing = given(reference)
    if (name := name_elsewhere(thing)) is not None:
        return name
    raise PluginUnusable(
        f"'{simple_name(thing)}' {_why(thing)}, so no other process can import it. Write it at the top of a module "
        "that is installed where the workers run, or lies beside the pipeline there, and import it from this module."
    )


def name_elsewhere(thing: Any) -> str | None:
    """Return the `module:name` by which other processes import an object; None where there is none."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or not name.isidentifier():
        return None
    return f"{module}:{name}" if getattr(sys.modules.get(module), name, None) is thing else None


def _why(thing: Any) -> str:
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        return f"is an object of the class {type(thing).__name__}, and no function or class"
    if "<lambda>" in name:
        return "has no name"
    if "." in name:
        return f"is defined inside of another function or class ({name})"
    if module == "__main__":
        return "is defined in the script or notebook that runs"
    return f"is not what {module}.{name} means"


def _fingerprint(thing: Any) -> str:
    """Return a short hash of where an object is defined, and of the code of a function, or of a class's methods."""
    shape = [getattr(thing, "__module__", ""), getattr(thing, "__qualname__", type(thing).__qualname__)]
    for each in _methods(thing) if isinstance(thing, type) else (thing,):
        code = getattr(each, "__code__", None)
        if isinstance(code, CodeType):
            shape += [*_told(code), *map(repr, _values(each) or ())]
    return hashlib.sha256(repr(shape).encode()).hexdigest()[:8]


def _methods(cls: type) -> list[FunctionType]:
    """Return the methods that a class was written with. Libraries add further ones when it is first used."""
    own = [each for each in list(vars(cls).values()) if isinstance(each, FunctionType)]
    return [each for each in own if each.__module__ == cls.__module__]


def _told(code: CodeType) -> list[str]:
    """Return what a function does, without the line where it stands."""
    told = [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames)]
    for each in code.co_consts:
        if isinstance(each, CodeType):
            told += _told(each)
        else:  # the order of a set is another one in each process
            told.append(repr(sorted(map(repr, each)) if isinstance(each, frozenset) else each))
    return told


def _values(function: Any) -> list[Any] | None:
    """Return what a function has from around it: defaults, and variables of the functions that it is defined in. None
    where one of them is more than a plain value: what it holds may change."""
    try:
        around = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a variable without a value yet
        return None
    values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *around]
    return values if all(type(each) in _PLAIN for each in values) else None


def _same(one: Any, other: Any) -> bool:
    """Tell whether two objects of one fingerprint do the same, so that the later one may take the name: functions of
    the same code, with the same plain values around them, as a cell of a notebook makes them anew each time."""
    if one is other:
        return True
    functions = [each for each in (one, other) if isinstance(getattr(each, "__code__", None), CodeType)]
    if len(functions) == 2:
        mine, theirs = _values(one), _values(other)
        return mine is not None and mine == theirs and not (vars(one) or vars(other))
    return isinstance(one, type) and isinstance(other, type)
