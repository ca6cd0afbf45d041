"""Makes of a pipeline's definition the one that is run under test: without what reaches out of the test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from loom.project.definition_file import LoadedPipeline, built
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError

_OUTSIDE = ("monitoring", "depends_on", "spawn", "fail_on")
"""Sections that tell somebody, or are about other runs. A budget changes questions near its end, so that recorded
answers would not be found: the tests have a budget of their own."""
_OF_THE_SOURCE = ("query", "options", "partitions", "incremental")
_OF_A_PLACE = ("sqlite", "duckdb")
"""The schemes of databases that are a file."""
_FILES = ("", "file")


def over_records(definition: Mapping[str, Any], destination: str) -> dict[str, Any]:
    """Return the definition of a run over given records. Without a key, their ids are known beforehand."""
    changed = _collected(definition, destination)
    extract = {key: value for key, value in changed["extract"].items() if key not in ("key", "incremental")}
    transform = {key: value for key, value in changed["transform"].items() if key != "records_per_call"}
    kept = {
        key: value for key, value in changed.items() if key != "sensitive"
    }  # these records lie in clear in the tests
    return {**kept, "extract": extract, "transform": transform}


def over_source(definition: Mapping[str, Any], destination: str, source: str | None) -> dict[str, Any]:
    """Return the definition of a run over the source, whose rows are collected."""
    return {**_collected(definition, destination), "extract": _extract(definition, source)}


def into(definition: Mapping[str, Any], destination: str, source: str | None) -> dict[str, Any]:
    """Return the definition of a run from the source into another destination."""
    load = {key: value for key, value in definition["load"].items() if key != "fallback"}
    if load.get("on_failure") == "fallback":
        del load["on_failure"]
    if source is not None and load.get("mode") is None and _scheme(destination) in _OF_A_PLACE:
        load["mode"] = "replace"
    return {
        **_inside(definition),
        "extract": _extract(definition, source),
        "load": {**load, "destination": destination},
    }


def reading(location: str, destination: str) -> dict[str, Any]:
    """Return the definition of a run that reads rows."""
    return {
        "name": "rows",
        "extract": {"source": location},
        "transform": {"type": "passthrough"},
        "load": {"destination": destination},
    }


def judge(loaded: LoadedPipeline, model: str | None) -> LoadedPipeline:
    """Return a pipeline whose records have a `text` and a `reference`, and are judged by meaning, by the model that is
    named or else by the judge of the pipeline. Raises `InvalidDefinition` where there is none."""
    definition = loaded.definition
    evaluate = definition.get("evaluate") or {}
    asked = {key: evaluate[key] for key in ("model", "base_url", "api_key", "params") if key in evaluate}
    asking = {"type": "semantic", "field": "text", "reference_field": "reference", "threshold": 0.0}
    kept: dict[str, Any] = {key: definition[key] for key in ("providers", "prices") if key in definition}
    changed: dict[str, Any] = {
        "name": definition["name"],
        "extract": {"source": "given.jsonl"},
        "transform": {"type": "passthrough"},
        "evaluate": {**asked, "evaluators": [asking if model is None else {**asking, "model": model}]},
        "load": {"destination": "given.jsonl"},
        **kept,
    }
    return built(changed, loaded.path)


def place_for(destination: str, folder: Path) -> str:
    """Return the destination of the same kind in a temporary folder. Raises `ConfigurationError` for one that is no
    file."""
    scheme = _scheme(destination)
    if scheme in _OF_A_PLACE:
        parts = urlsplit(destination)
        name = PurePosixPath(parts.path).name or "test.db"
        return f"{scheme}:///{folder / name}" + (f"?{parts.query}" if parts.query else "")
    if scheme in _FILES:
        return str(folder / PurePosixPath(destination.removeprefix("file://")).name)
    raise ConfigurationError(
        f"The pipeline loads into {redacted(destination)}, which has no temporary place. Name one in the test: "
        "`destination: rows.jsonl`, or `destination: sqlite:///test.db?table=t`."
    )


def unreadable(location: str, why: str) -> ConfigurationError:
    """Return the error of rows that cannot be read."""
    return ConfigurationError(f"The rows at {redacted(location)} cannot be read: {why}")


def _inside(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key not in _OUTSIDE}


def _collected(definition: Mapping[str, Any], destination: str) -> dict[str, Any]:
    """Return the definition with rows that are collected: outputs alone, unless what is demanded of rows may concern
    included fields, too."""
    load = definition["load"]
    demanded = {key: load[key] for key in ("schema", "quality_checks") if load.get(key)}
    if demanded and load.get("include"):
        demanded["include"] = load["include"]
    changed = _inside(definition)
    extract = {key: value for key, value in changed["extract"].items() if key != "incremental"}
    return {**changed, "extract": extract, "load": {"destination": destination, **demanded}}


def _extract(definition: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    written = definition["extract"]
    if source is None:
        return {key: value for key, value in written.items() if key != "incremental"}
    return {
        "source": source,
        **{key: value for key, value in written.items() if key not in (*_OF_THE_SOURCE, "source")},
    }


def _scheme(location: str) -> str:
    return location.partition("://")[0].lower() if "://" in location else ""
