"""Makes the OpenLineage event of a run from its row and its report. Pure."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from loom_common.contracts.v1 import PreflightColumn, RunReport
from loom_common.domain.section import items, said
from loom_common.domain.steps.asking import JOIN
from loom_common.domain.steps.lookups import ENRICH, place_of
from loom_common.domain.values.ids import spawner_of
from loom_common.flow import Stage
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.openlineage import facets
from loom_coordinator.openlineage.datasets import Dataset, datasets_of

START, RUNNING, COMPLETE, FAIL, ABORT = "START", "RUNNING", "COMPLETE", "FAIL", "ABORT"
ENDS = {
    run_rows.SUCCEEDED: COMPLETE,
    run_rows.PARTIAL: COMPLETE,
    run_rows.FAILED: FAIL,
    run_rows.CANCELLED: ABORT,
}
"""Holds the event that tells the end of a run, by its status."""


def event_id(run_id: str) -> str:
    """Return the UUID by which OpenLineage knows a run. It follows from the run's id alone."""
    return str(uuid5(NAMESPACE_URL, f"loom:run:{run_id}"))


def event_of(
    kind: str, run: Run, report: RunReport | None, *, at: dt.datetime, namespace: str, project: Path
) -> dict[str, Any]:
    """Return the event. `report` is that of a run which has ended, else None. `namespace` is that of the pipelines as
    jobs, and `project` the folder where relative paths start."""
    columns = _columns(run)
    extract, folder = run.definition["extract"], project.resolve()
    sources = _sources(run, extract, folder)
    read = [each for each in columns if each.origin is None or "source" in each.origin]
    written = [each for each in columns if each.origin is not None and not each.done.startswith("read")]
    inputs, outputs = [], []
    for source in sources:
        of_source = facets.fields_of(each.model_copy(update={"written": None}) for each in read)
        input_facets: dict[str, Any] = {}
        if report is not None:
            input_facets = facets.assertions_of(report.checks, Stage.EXTRACT)
            if len(sources) == 1:
                input_facets |= facets.facet("inputStatistics", rowCount=report.records["extracted"])
        inputs.append(_dataset(source, of_source if len(sources) == 1 else {}) | {"inputFacets": input_facets})
    inputs += [_dataset(each, {}) | {"inputFacets": {}} for each in _looked_up(run, folder) if each not in sources]
    for destination in _destinations(run, report, folder):
        of_destination = facets.fields_of(written)
        if len(sources) == 1:
            of_destination |= facets.lineage_of(written, _made_of(run, columns), sources[0])
        output_facets: dict[str, Any] = {}
        if report is not None:
            of_destination |= facets.assertions_of(report.checks, Stage.LOAD)
            output_facets = facets.facet("outputStatistics", rowCount=report.records["loaded"])
        outputs.append(_dataset(destination, of_destination) | {"outputFacets": output_facets})
    said = facets.of_run(run, report)
    if run.replay_of:
        parent = {"run": {"runId": event_id(run.replay_of)}, "job": {"namespace": namespace, "name": run.pipeline_name}}
        said |= facets.facet("parent", **parent)
    elif (spawner := spawner_of(run.idempotency_key)) is not None:
        parent = {"run": {"runId": event_id(spawner[1])}, "job": {"namespace": namespace, "name": spawner[0]}}
        said |= facets.facet("parent", **parent)
    elif run.lineage_parent:
        said |= facets.parent_of(run.lineage_parent)
    return {
        "eventType": kind,
        "eventTime": at.astimezone(dt.UTC).isoformat(),
        "run": {"runId": event_id(run.run_id), "facets": said},
        "job": {"namespace": namespace, "name": run.pipeline_name, "facets": facets.of_job(run.definition)},
        "inputs": inputs,
        "outputs": outputs,
        "producer": facets.producer(),
        "schemaURL": f"{facets.SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def _columns(run: Run) -> list[PreflightColumn]:
    """Return what was found of the columns before the run. On a cluster, that comes by two answers."""
    found = (run.preflight or {}).get("columns", ())
    return [PreflightColumn.model_validate(each) for each in found]


def _sources(run: Run, extract: Any, folder: Path) -> list[Dataset]:
    if run.records is not None:
        return [Dataset("loom", f"records given to {run.run_id}")]
    return datasets_of(extract["source"], folder, extract.get("query"))


def _looked_up(run: Run, folder: Path) -> list[Dataset]:
    """Return what the steps of a run look records up in, or join them with."""
    transform = run.definition["transform"]
    found = [
        dataset
        for step in (transform, *items(transform, "steps"))
        if said(step, "type") in (ENRICH, JOIN) and (place := place_of(step)) is not None
        for dataset in datasets_of(place if said(step, "url") is None else f"rest+{place}", folder, said(step, "query"))
    ]
    return list(dict.fromkeys(found))


def _destinations(run: Run, report: RunReport | None, folder: Path) -> list[Dataset]:
    """Return where rows go. A sample goes beside the destination, and where that is, the loader says at its end."""
    return [] if run.sample is not None and report is None else datasets_of(run.destination, folder)


def _made_of(run: Run, columns: Any) -> list[str]:
    """Return the fields that every field of the output is made of: those that the prompt shows, or the one that is
    scored or embedded. Empty where that is not known, as for code."""
    transform = run.definition["transform"]
    if transform.get("type") in ("scorer", "embed") and isinstance(transform.get("field"), str):
        return [transform["field"]]
    return [each.column for each in columns if each.in_prompt] if transform.get("type") == "ai" else []


def _dataset(dataset: Dataset, said: dict[str, Any]) -> dict[str, Any]:
    return {"namespace": dataset.namespace, "name": dataset.name, "facets": said}
