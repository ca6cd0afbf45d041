"""Puts the defaults of `loom.yaml` into definitions that are silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loom_common.domain.steps.asking import asks

if TYPE_CHECKING:
    from pydantic import BaseModel

    from loom.project.configured.sections import PipelineDefaults

KeyPath = tuple[str | int, ...]


def with_defaults(
    definition: Mapping[str, Any],
    defaults: PipelineDefaults,
    providers: Mapping[str, BaseModel],
    prices: Mapping[str, BaseModel],
    ttl_days: float | None,
) -> tuple[dict[str, Any], dict[KeyPath, KeyPath]]:
    """Return the definition with the project's defaults where it is silent, and the key of `loom.yaml` that says what
    stands at a key of it."""
    filled = dict(definition)
    origins: dict[KeyPath, KeyPath] = {}
    if defaults.batch_size is not None:
        _fill(filled, "extract", "batch_size", defaults.batch_size)
    if defaults.quality_gate is not None:
        _fill(filled, "evaluate", "quality_gate", defaults.quality_gate.model_dump(exclude_none=True))
    own = filled.get("providers") or {}
    if providers and isinstance(own, Mapping):
        mine = {name: each.model_dump(exclude_unset=True) for name, each in providers.items()}
        filled["providers"] = {**mine, **own}
        origins |= {("providers", name): ("providers", name) for name in mine if name not in own}
    said = filled.get("prices") or {}
    if prices and isinstance(said, Mapping):
        filled["prices"] = {name: each.model_dump() for name, each in prices.items()} | dict(said)
    if ttl_days is not None:
        _fill_cache(filled, {"ttl": f"{ttl_days:g}d"})
    return filled, origins


def _fill_cache(filled: dict[str, Any], cache: Mapping[str, Any]) -> None:
    """Give a transform that asks a model, or each such step of it, settings of the cache where it has none."""
    transform = filled.get("transform")
    if not isinstance(transform, Mapping):
        return
    if transform.get("type") == "ai":
        _fill(filled, "transform", "cache", cache)
    elif isinstance(steps := transform.get("steps"), list):
        asking = [isinstance(each, Mapping) and (each.get("type") == "ai" or asks(each)) for each in steps]
        made = [{"cache": cache, **each} if asks else each for asks, each in zip(asking, steps, strict=True)]
        filled["transform"] = {**transform, "steps": made}


def _fill(definition: dict[str, Any], section: str, key: str, value: Any) -> None:
    written = definition.get(section)
    if isinstance(written, Mapping) and key not in written:
        definition[section] = {**written, key: value}
