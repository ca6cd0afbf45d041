"""Reads from the headers of a request for which task of another tool a run is asked for.

They are headers because each try of a task has a name of its own, while a request that comes again with its
`Idempotency-Key` has the same body."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from loom_common.contracts.v1 import LineageParent
from loom_common.contracts.v1.commands import LINEAGE_RUN

PARENT, ROOT = "OpenLineage-Parent-Id", "OpenLineage-Root-Parent-Id"

ParentId = Annotated[
    str | None,
    Header(
        alias=PARENT,
        pattern=LINEAGE_RUN,
        description="The task of another tool that asks, as `NAMESPACE/JOB/UUID`: events of OpenLineage name it as the "
        "parent of the run.",
    ),
]
RootId = Annotated[
    str | None,
    Header(alias=ROOT, pattern=LINEAGE_RUN, description="The run that this task belongs to, such as that of a DAG."),
]


def lineage_parent_of(parent: str | None, root: str | None) -> LineageParent | None:
    """Return what both headers say; None where no parent is named."""
    return None if parent is None else LineageParent(run=parent, root=root)
