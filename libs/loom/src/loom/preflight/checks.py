"""Checks what can be known before a run: that credentials are there, the source can be read, the destination
written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loom.preflight import connector_checks, credential_checks
from loom.preflight.model_calls import model_checks
from loom.preflight.model_calls.model_endpoints import endpoints
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.project.parameters import unused
from loom_common.domain.checks import cascade_file
from loom_common.domain.checks.check import Check
from loom_common.domain.checks.passed_on import missing_columns, with_passed_on
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.model_options.params import ParamSpec
from loom_common.sealing.keyring import Keyring
from loom_connectors.ports.context import ConnectorContext

_TAKEN = Check("destination", ok=True, detail="its rows are given to the Python code that started it")


async def check(
    loaded: LoadedPipeline,
    config: LoomConfig,
    params: dict[str, Any] | None = None,
    *,
    sample: bool = False,
    given: bool = False,
    taken: bool = False,
) -> list[Check]:
    """Look at what surrounds a pipeline: its source, and its destination or the place beside it that a `sample` goes
    to. Nothing is read but the source's first page, and nothing of records that were `given`; nothing is written. Where
    the rows are `taken` by the Python code that starts the run, there is no destination to look at."""
    credentials = config.secrets
    schema = loaded.pipeline.transform.declared_schema
    context = ConnectorContext(
        folder=loaded.folder,
        allowed=config.allowed,
        credentials=credentials,
        params=connector_checks.params_of(loaded.pipeline.params, params or {}),
        output_schema=schema,
        record_key=loaded.pipeline.row_key,
        sample=sample,
        call_seconds=connector_checks.ANSWER_SECONDS,
    )
    load = loaded.pipeline.load
    pace = None if sample else loaded.pipeline.pace
    counted = _all_given(loaded.pipeline.params, params or {})
    checks = [
        *credential_checks.check(loaded, credentials),
        *_keys(loaded.pipeline, config),
        *(
            connector_checks.of_given_records(loaded)
            if given
            else await connector_checks.of_source(loaded, loaded.pipeline.extract, context, counted=counted, pace=pace)
        ),
        *await connector_checks.of_joins(loaded.pipeline, context),
        *_unused(loaded),
        *await connector_checks.of_lookups(loaded, context),
        *model_checks.check(loaded.pipeline),
        *_cascades(loaded),
    ]
    if any(endpoints(loaded.pipeline)):
        checks += _of_calls(loaded.pipeline)
    if overlapping := connector_checks.overlapping(loaded, loaded.pipeline.extract, load, context):
        return [*checks, overlapping]
    place = [_TAKEN] if taken else await connector_checks.of_destination(loaded, load, context)
    checks += _with_passed_on(loaded.pipeline, checks, place)
    if load.second is not None:
        checks += await connector_checks.of_destination(loaded, load.second, context, "second destination")
    return checks


def _with_passed_on(pipeline: Pipeline, before: Sequence[Check], looked: Sequence[Check]) -> list[Check]:
    """Return what was found of a destination, with what becomes of the fields that are passed on to it."""
    fields = next((check.fields for check in before if check.fields is not None), None)
    fits = [fit for check in looked for fit in check.fits]
    found = [replace(check, fits=with_passed_on(pipeline, fields, check.fits)) for check in looked]
    missing = missing_columns(pipeline, fields, fits)
    return found if missing is None else [*found, missing]


def _keys(pipeline: Pipeline, config: LoomConfig) -> list[Check]:
    """Tell whether the keys of sensitive fields can be used."""
    if not pipeline.sensitive:
        return []
    references = config.settings().encryption.keys
    words = f"{', '.join(pipeline.sensitive)}: encrypted with {references[0]}"
    trouble = Keyring(references, config.secrets).trouble()
    return [Check("encryption", ok=trouble is None, detail=trouble or words)]


def _cascades(loaded: LoadedPipeline) -> list[Check]:
    """Check whether the thresholds of cascades are chosen, for these settings, and tell what is promised of them."""
    problems = tuple(
        loaded.document.problem(each.path, each.found, each.expected)
        for each in cascade_file.mistakes(loaded.pipeline, loaded.files)
    )
    if problems:
        return [Check("cascades", ok=False, detail="their thresholds cannot be used", problems=problems)]
    return [
        Check("cascades", ok=True, detail=f"{of}: {words}")
        for _, of, each in cascade_file.cascades_of(loaded.pipeline)
        for words in [
            cascade_file.parsed(loaded.files[each.file]).promise if each.file else "thresholds by hand, no promise"
        ]
    ]


def _of_calls(pipeline: Pipeline) -> list[Check]:
    """Tell what the calls of models cost, and how many of them are made at once."""
    from loom.preflight.model_calls import (  # many ask no model
        batch_execution,
        budget_fit,
        calls_in_flight,
        model_prices,
    )

    checks = batch_execution.checks(pipeline)
    if (priced := model_prices.told(pipeline)) is not None:
        checks.append(Check("prices", ok=priced[0], detail=priced[1]))
    if (fit := budget_fit.told(pipeline)) is not None:
        checks.append(Check("budget", ok=True, detail=fit))
    if (few := calls_in_flight.told(pipeline)) is not None:
        checks.append(Check("models", ok=True, detail=few, doubtful=True))
    return checks


def _unused(loaded: LoadedPipeline) -> list[Check]:
    names = unused(loaded.definition, loaded.prompt)
    words = f"nothing uses {', '.join(names)}: neither the source, nor the prompt, nor the destination"
    return [Check("params", ok=True, detail=words, doubtful=True)] if names else []


def of_the_files(loaded: LoadedPipeline) -> list[Check]:
    """Look at what a pipeline says, and at the files that it names beside it, but at nothing that is installed or is
    found elsewhere."""
    said = [*_unused(loaded), *model_checks.check(loaded.pipeline), *_cascades(loaded)]
    return [each for each in said if each.what != "scorer"]


def _all_given(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> bool:
    return all(name in given or spec.default is not None for name, spec in specs.items())
