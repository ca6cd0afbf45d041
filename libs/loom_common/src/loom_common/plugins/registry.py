"""Finds plugins by kind and name: what was registered in this process, what an installed package offers, and what
`module:name` names. What Loom brings itself is looked up by its callers first, so a run that uses nothing else reads
no metadata. A plugin is imported when it is first asked for."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import traceback
from collections.abc import Container

from loom_common.errors import ConfigurationError, PluginUnusable
from loom_common.foreign_code.imports import imported
from loom_common.foreign_code.process_guard import own_frame
from loom_common.plugins.callables import given, is_given
from loom_common.plugins.installed import Offered, offered, offers, refused_version, remedy
from loom_common.plugins.kinds import API_VARIABLE, PLUGIN_API, Kind
from loom_common.text import named

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_registered: dict[tuple[Kind, str], object] = {}


def register(kind: Kind, name: str, plugin: object, own: Container[str] = ()) -> None:
    """Let `name` mean `plugin` in this process. Raises `ConfigurationError` where `name` is one of Loom's `own`."""
    if name in own:
        raise ConfigurationError(f"The {kind} '{name}' is Loom's own; register yours under another name.")
    _registered[kind, name] = plugin


def registered(kind: Kind) -> dict[str, object]:
    """Return what was registered in this process, by name."""
    return {name: plugin for (each, name), plugin in _registered.items() if each is kind}


def names(kind: Kind) -> list[str]:
    """Return the names that have been added to Loom's own: registered here, or offered by an installed package."""
    return sorted({*registered(kind), *(each.name for each in offered() if each.kind is kind)})


def is_reference(name: str) -> bool:
    """Tell whether a name has the form `module:name`. Every kind of plugin may be named so."""
    return _REFERENCE.fullmatch(name) is not None


def missing_methods(plugin: object, contract: type) -> list[str]:
    """Return the methods of a protocol that a plugin lacks. A class has those of its instances."""
    asked = [name for name, value in vars(contract).items() if callable(value) and not name.startswith("_")]
    return [name for name in asked if not callable(getattr(plugin, name, None))]


def find(kind: Kind, name: str) -> object | None:
    """Find the plugin of that kind and name, imported now if it was not before; return None where there is none.

    `module:name` names an object of an installed module. Raises `PluginUnusable` where a plugin is there and does not
    serve: it cannot be imported, it was written for another version of Loom, or two packages offer it."""
    if (kind, name) in _registered:
        return _registered[kind, name]
    if is_given(name):
        return given(name)  # type: ignore[no-any-return]  # of whatever kind was asked for
    if ":" in name:
        return _of_module(kind, name)
    found = offers(kind, name)
    if len(found) > 1:
        packages = " and ".join(each.package for each in found)
        raise PluginUnusable(f"The packages {packages} both offer the {kind} '{name}'. Uninstall one of them.")
    return load(found[0]) if found else None


def load(plugin: Offered) -> object:
    """Import a plugin. Raises `PluginUnusable`, which names the package."""
    if (wanted := refused_version(plugin)) is not None:
        raise PluginUnusable(f"{_capital(plugin)} needs {wanted}. {remedy(plugin.package)}.")
    try:
        loaded: object = imported(plugin.entry_point.module, plugin.entry_point.load)
    except BaseException as error:  # it is the plugin's code
        words = f"{_capital(plugin)} cannot be imported: {named(error)}{_place(error)}. {remedy(plugin.package)}."
        raise PluginUnusable(words) from error
    _check_version(plugin)
    return loaded


def _check_version(plugin: Offered) -> None:
    """Raises `PluginUnusable` for a plugin that was written for another version of Loom, or does not say for which."""
    version = getattr(sys.modules[plugin.entry_point.module], API_VARIABLE, None)
    if version == PLUGIN_API:
        return
    if not isinstance(version, int):
        what = f"does not say that it was written for this version of Loom: {API_VARIABLE} = {PLUGIN_API}"
    elif version < PLUGIN_API:
        what = f"is too old: it was written for version {version} of Loom's plugin interface, and this is {PLUGIN_API}"
    else:
        raise PluginUnusable(
            f"{_capital(plugin)} needs version {version} of Loom's plugin interface, and this Loom has {PLUGIN_API}. "
            "Upgrade Loom."
        )
    raise PluginUnusable(f"{_capital(plugin)} {what}. {remedy(plugin.package)}.")


def _of_module(kind: Kind, reference: str) -> object:
    module_name, _, name = reference.partition(":")
    try:
        return getattr(imported(module_name, lambda: importlib.import_module(module_name)), name)
    except AttributeError as error:
        module = sys.modules.get(module_name)
        if module is None:  # the module itself raised it
            raise _not_imported(kind, reference, error) from error
        near = difflib.get_close_matches(name, [each for each in vars(module) if not each.startswith("_")], n=1)
        hint = f" Did you mean '{module_name}:{near[0]}'?" if near else ""
        raise PluginUnusable(
            f"The {kind} '{reference}' is not there: the module {module_name} has no '{name}'.{hint}"
        ) from error
    except BaseException as error:  # it is the plugin's code
        raise _not_imported(kind, reference, error) from error


def _not_imported(kind: Kind, reference: str, error: BaseException) -> PluginUnusable:
    return PluginUnusable(
        f"The {kind} '{reference}' cannot be imported: {named(error)}{_place(error)}. Install the package that has "
        "this module where Loom runs."
    )


def _capital(plugin: Offered) -> str:
    words = str(plugin)
    return words[:1].upper() + words[1:]


def _place(error: BaseException) -> str:
    """Return where in the plugin an error was raised; return an empty text where it was not in the plugin."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in frames if each.filename != __file__ and not own_frame(each.filename)]
    own = [each for each in theirs if "importlib" not in each.filename]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
