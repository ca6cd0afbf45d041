"""Lists what queries return to Python code: JSON documents, of which the most asked for has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from loom_common.domain.json_values.html_tables import as_html
from loom_common.domain.json_values.shown import as_json


@dataclass(frozen=True, slots=True)
class LineageNode:
    """Represents one stage of a run, and what it let through."""

    stage: str
    records_in: int | None
    records_out: int | None


T = TypeVar("T")


class Listed(list[T]):
    """Lists results, which notebooks show as a table."""

    def _repr_html_(self) -> str:
        """Return the results as a table, of at most 50 rows."""
        return as_html(as_json(self))


class Lineage(Listed[dict[str, Any]]):
    """Lists the documents of `loom lineage --format json`, one for each run, the newest first."""

    @property
    def nodes(self) -> Sequence[LineageNode]:
        """Return the stages of the newest run that is listed, in the order of a record's way."""
        stages = (self[0]["stages"] or ()) if self else ()
        return [LineageNode(each["stage"], each["records_in"], each["records_out"]) for each in stages]


class QuarantinedRecord(dict[str, Any]):
    """Holds a document of `loom quarantine list --format json`."""

    @property
    def id(self) -> str:
        """Return the id of the record."""
        return str(self["record_id"])

    @property
    def failure_reason(self) -> str:
        """Return why it was kept back, in words."""
        return str(self["failure_reason"])

    @property
    def failure_stage(self) -> str:
        """Return the stage that kept it back."""
        return str(self["failure_stage"])

    @property
    def input(self) -> dict[str, Any]:
        """Return the record as its source gave it."""
        return dict(self["record_data"])

    @property
    def scores(self) -> dict[str, float]:
        """Return the scores of the record, by the name of the evaluator."""
        return dict(self["evaluation_scores"] or {})
