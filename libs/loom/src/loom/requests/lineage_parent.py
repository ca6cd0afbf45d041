"""Reads for which task of another tool a run is asked for, as tools that tell of lineage say it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import ValidationError

from loom_common.contracts.v1 import LineageParent
from loom_common.errors import ConfigurationError

NAMES = {"run": "OPENLINEAGE_PARENT_ID", "root": "OPENLINEAGE_ROOT_PARENT_ID"}
"""Holds the variable of the environment for each part of a parent."""


def lineage_parent_of(given: Mapping[str, str | None] | None) -> LineageParent | None:
    """Return the parent that code has given, else the one that the environment names; None without either. Raises
    `ConfigurationError` where it is named otherwise than `NAMESPACE/JOB/UUID`."""
    named = {part: os.environ.get(name) or None for part, name in NAMES.items()} if given is None else dict(given)
    if given is None and named["run"] is None:
        return None
    try:
        return LineageParent.model_validate(named)
    except ValidationError as error:
        part = str(error.errors()[0]["loc"][0])
        place = NAMES[part] if given is None else f"`{part}` of `lineage_parent`"
        raise ConfigurationError(
            f"{place} is {named.get(part)!r}, where NAMESPACE/JOB/UUID is expected: the run of another tool, as events "
            "of OpenLineage name it."
        ) from None
