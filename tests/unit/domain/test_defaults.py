"""Tests that what a definition leaves out is written into a plan as what it writes: a default of another type than its
field has is warned of on the user's terminal."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from inspect import isabstract

from pydantic import BaseModel

import loom_common.domain
import loom_connectors


def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def test_every_default_has_a_type_of_its_field():
    for package in (loom_common.domain, loom_connectors):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    kinds = {each for each in below(BaseModel) if each.__module__.startswith("loom_") and not isabstract(each)}
    assert len(kinds) > 100
    for kind in kinds:
        kind.model_construct().model_dump(mode="json", warnings="error")
