"""Makes facets: what an OpenLineage event says of a run, a job and their datasets besides their names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from loom_common.contracts.v1 import CheckSummary, PreflightColumn, RunReport
from loom_common.domain.sealing.tokens import masked_text
from loom_common.flow import Stage
from loom_coordinator.db.run import Run
from loom_coordinator.openlineage.datasets import Dataset

SPEC = "https://openlineage.io/spec"
_CORE = f"{SPEC}/2-0-2/OpenLineage.json#/$defs"
_SCHEMAS = {
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "dataQualityAssertions": "1-1-0/DataQualityAssertionsDatasetFacet",
    "documentation": "1-1-0/DocumentationJobFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "parent": "1-2-0/ParentRunFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "sql": "1-1-0/SQLJobFacet",
}


@cache
def producer() -> str:
    """Return the URI that says who made an event: the package URL (purl) of this version of Loom."""
    return f"pkg:pypi/loom-pipelines@{version('loom-pipelines')}"


def facet(name: str, /, **content: Any) -> dict[str, Any]:
    """Return one facet under its name. One that the standard does not have is Loom's own, and begins with `loom_`."""
    if name in _SCHEMAS:
        path = _SCHEMAS[name]
        url = f"{SPEC}/facets/{path}.json#/$defs/{path.partition('/')[2]}"
    else:
        url = f"{_CORE}/RunFacet"
    return {name: {"_producer": producer(), "_schemaURL": url, **content}}


def of_run(run: Run, report: RunReport | None) -> dict[str, Any]:
    """Return what is said of a run: the engine, how it came about, and, once there is a `report`, its records, scores
    and cost."""
    found = facet("processing_engine", name="Loom", version=version("loom-pipelines"))
    found |= facet(
        "loom_run",
        run_id=run.run_id,
        pipeline_version=run.pipeline_version,
        status=run.status,
        reason=run.reason,
        model=run.model,
        prompt_version=run.prompt_version,
        sample=run.sample,
    )
    if report is None:
        return found
    found |= facet("loom_records", **report.records)
    found |= facet(
        "loom_cost",
        currency="USD",
        total=report.cost["total"],
        transform=report.cost["transform"],
        evaluate=report.cost["evaluate"],
        calls=report.calls["made"],
        reused=report.calls["from_cache"],
        models=[
            {
                "stage": each.stage,
                "model": each.model,
                "calls": each.made,
                "tokens_in": each.tokens_in,
                "tokens_out": each.tokens_out,
                "cost": each.cost,
            }
            for each in report.spending
        ],
    )
    if report.evaluation:
        scores = {name: each.model_dump(mode="json") for name, each in report.evaluation.items()}
        found |= facet("loom_evaluation", evaluators=scores)
    if report.error:
        found |= facet("errorMessage", message=masked_text(report.error), programmingLanguage="Python")
    return found


def parent_of(named: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the facet of the task that has asked for a run, and of the `root` that the task belongs to. Each is named
    as `NAMESPACE/JOB/UUID`; a namespace may hold slashes."""

    def told(name: str) -> dict[str, Any]:
        namespace, job, uuid = name.rsplit("/", 2)
        return {"run": {"runId": uuid}, "job": {"namespace": namespace, "name": job}}

    run, root = named["run"], named.get("root")
    assert run is not None
    return facet("parent", **told(run), **({"root": told(root)} if root else {}))


def of_job(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a pipeline: its kind, its description and the SQL that reads its source."""
    found = facet("jobType", processingType="BATCH", integration="LOOM", jobType="PIPELINE")
    if description := definition.get("description"):
        found |= facet("documentation", description=str(description))
    if query := definition["extract"].get("query"):
        found |= facet("sql", query=str(query))
    return found


def fields_of(columns: Iterable[PreflightColumn]) -> dict[str, Any]:
    """Return the facet of a dataset's fields, with their types where these are known; nothing without a field."""
    fields = [{"name": each.column} | ({"type": each.written} if each.written else {}) for each in columns]
    return facet("schema", fields=fields) if fields else {}


def assertions_of(checks: Sequence[CheckSummary], stage: Stage) -> dict[str, Any]:
    """Return the facet of the quality checks of records as they are read, or before they are loaded."""
    found = []
    for each in checks:
        if each.stage == stage:
            said = {"assertion": each.check, "name": each.name, "success": each.outcome == "passed"}
            said |= {
                "severity": "warn" if each.action == "warn" else "error",
                "actual": f"{each.missed} of {each.seen}",
            }
            found.append(said | ({"column": each.column} if each.column else {}))
    return facet("dataQualityAssertions", assertions=found) if found else {}


def lineage_of(written: Sequence[PreflightColumn], read_by_model: Sequence[str], source: Dataset) -> dict[str, Any]:
    """Return the facet that says from which fields of the source each column comes, for those where it is known:
    `read_by_model` are the fields that outputs are made of."""

    def from_field(name: str, subtype: str) -> dict[str, Any]:
        made = [{"type": "DIRECT", "subtype": subtype}]
        return {"namespace": source.namespace, "name": source.name, "field": name, "transformations": made}

    fields = {}
    for each in written:
        if each.origin == "source":
            fields[each.column] = {"inputFields": [from_field(each.column, "IDENTITY")]}
        elif each.origin is not None and read_by_model:
            inputs = [from_field(name, "TRANSFORMATION") for name in read_by_model]
            fields[each.column] = {"inputFields": inputs}
    return facet("columnLineage", fields=fields) if fields else {}
