"""Names the engines that a project may choose, without importing any of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from loom_common.domain.section import Mistake, mistake
from loom_common.errors import ConfigurationError, PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names

EMBEDDED = "embedded"
RABBITMQ = "rabbitmq"
OF_MODE: Mapping[str, str] = MappingProxyType({"embedded": EMBEDDED, "distributed": RABBITMQ})
"""Says which engine a `mode` in loom.yaml means."""
_FOLDERS: Mapping[str, str] = MappingProxyType({"prefect": "packages/loom_prefect"})
"""Holds the engines that Loom's repository has in packages of their own, and where these lie."""


def find_engine(name: str) -> Callable[..., Any]:
    """Return what opens an engine of a package. Raises `ConfigurationError` where there is none with this name, with
    what to install, and `PluginUnusable` for one that cannot be used."""
    found = find(Kind.ENGINE, name)
    if found is None:
        raise _no_engine(name)
    if not callable(found):
        raise PluginUnusable(f"The engine '{name}' is no function that opens an engine: {type(found).__name__}.")
    return found


def _no_engine(name: str) -> ConfigurationError:
    """Return what is said of an engine that is not here."""
    if (folder := _FOLDERS.get(name)) is not None:
        return ConfigurationError(
            f"The engine '{name}' is a package of its own, which is not installed here: pip install ./{folder} in a "
            "checkout of Loom, into the environment that Loom runs in."
        )
    here = [EMBEDDED, RABBITMQ, *names(Kind.ENGINE)]
    near = difflib.get_close_matches(name, [*here, *_FOLDERS], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ConfigurationError(
        f"No engine is called '{name}'; here are {', '.join(here)}.{hint} An engine of a package is found by its entry "
        f"point in the group {Kind.ENGINE.group}: install the package that has it."
    )


def engine_mistakes(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Demand that `mode` and `engine` do not contradict each other where both are written."""
    mode, engine = written.get("mode"), written.get("engine")
    if not isinstance(mode, str) or not isinstance(engine, str) or mode not in OF_MODE:
        return
    if (engine == RABBITMQ) != (OF_MODE[mode] == RABBITMQ):
        yield mistake(
            ("engine",), "contradicts_mode", f"the engine that `mode: {mode}` means; or leave `mode` out", engine
        )
