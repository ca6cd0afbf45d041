"""Checks whether the engine that a project names is here."""

from __future__ import annotations

from loom.project.config import LoomConfig
from loom.project.configured.engine_names import OF_MODE, find_engine
from loom_common.domain.checks.check import Check
from loom_common.errors import LoomError
from loom_common.plugins.installed import offers
from loom_common.plugins.kinds import Kind


def checked_engine(config: LoomConfig) -> list[Check]:
    """Check what carries out runs, where that is an engine of a package. It is imported, and nothing is started."""
    name = config.engine_name
    if name in OF_MODE.values():
        return []
    try:
        find_engine(name)
    except LoomError as error:
        return [Check("engine", ok=False, detail=str(error))]
    package = next((f"{each.package} {each.version}" for each in offers(Kind.ENGINE, name)), "a module")
    return [Check("engine", ok=True, detail=f"{name} is offered by {package}")]
