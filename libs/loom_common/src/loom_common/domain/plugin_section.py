"""Defines sections of the pipeline file whose keys a plugin brings: its own model, whose mistakes are placed like any
other."""

from abc import ABC
from inspect import isabstract
from typing import Any, TypeVar

from pydantic import SerializationInfo, SerializerFunctionWrapHandler, ValidationError

from loom_common.domain.section import Mistake, Section, mistake, mistakes_in, refusal
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find


class PluginSection(Section, ABC):
    """Serves as the base of every section whose keys a plugin brings. A kind of plugin that builds something names it
    as an abstract method."""


S = TypeVar("S", bound=PluginSection)


def plugin_model(kind: Kind, name: object, base: type[S]) -> type[S] | None:
    """Return the model of a plugin's keys; None where there is no plugin of that name. Raises `PluginUnusable`."""
    found = find(kind, name) if isinstance(name, str) else None
    if found is None:
        return None
    if isinstance(found, type) and issubclass(found, base):
        return concrete(kind, str(name), found)
    raise PluginUnusable(f"The {kind} '{name}' is no subclass of {base.__name__}, which every {kind} plugin is.")


def concrete(kind: Kind, name: str, model: type[S]) -> type[S]:
    """Return a plugin's model. Raises `PluginUnusable` where it lacks a method that its base asks for."""
    if isabstract(model):
        lacking = ", ".join(f"`{each}`" for each in sorted(model.__abstractmethods__))
        raise PluginUnusable(f"The {kind} '{name}' ({model.__qualname__}) does not define {lacking}.")
    return model


def read_plugin(kind: Kind, written: Any, base: type[S]) -> S | None:
    """Read a section with a plugin's model; return None where its `type` is no plugin's.

    Raises `ValidationError` with every mistake, also where the plugin cannot be used."""
    name = written.get("type") if isinstance(written, dict) else None
    try:
        model = plugin_model(kind, name, base)
    except PluginUnusable as error:
        raise refusal(str(kind), [unusable(("type",), error, name)]) from error
    if model is None:
        return None
    try:
        return model.model_validate(written)
    except ValidationError as error:
        raise refusal(str(kind), mistakes_in(error, str(name))) from error


def unusable(loc: tuple[str | int, ...], error: PluginUnusable, found: Any) -> Mistake:
    """Return the mistake of naming a plugin that cannot be used."""
    return mistake(loc, "plugin_unusable", f"a plugin that can be used ({str(error).rstrip('.')})", found)


def dump_as_itself(value: Any, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    """Return a plugin's section with the keys that it brings; every other one as its field says."""
    if not isinstance(value, PluginSection):
        return handler(value)
    return value.model_dump(
        mode=info.mode,
        by_alias=info.by_alias,
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )
