"""Asks both tiers of a cascade about every record, in runs that load nothing: each answer is in the journal then, and a
later run of the pipeline does not pay for it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loom.benchmarks.data.target import class_of
from loom.benchmarks.data.verdicts import FAIL, PASS
from loom.benchmarks.running import paid_answers
from loom.benchmarks.running.candidates import Candidate, Setting
from loom.benchmarks.running.given_outputs import read_outputs, taking_outputs, with_outputs
from loom.benchmarks.running.labelled_run import CandidateRun, Show, carry_out
from loom.project.config import LoomConfig
from loom.project.definition_file import built
from loom.session import RunEngine
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.errors import ConfigurationError
from loom_common.statistics.cascades import Tried
from loom_connectors.ports.source import ReadRecord

_CHEAP = "cheap tier of "


@dataclass(frozen=True, slots=True)
class Asking:
    """Says how the tiers are asked."""

    session: RunEngine
    config: LoomConfig
    setting: Setting
    params: Mapping[str, Any]
    show: Show
    begun: Any
    """Is told the name, the run, and the number of records of each run that begins."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Holds what both tiers said, by the ids of the records. The labels are still to be put in."""

    tried: Mapping[str, Tried]
    cost: float
    """An amount in USD that was paid now."""


async def of_transform(
    candidate: Candidate, records: Mapping[str, ReadRecord], field: str, asking: Asking, budget: float | None
) -> Asked:
    """Ask both tiers of the cascade of a transform. The class of an output is its value of `field`."""
    written = dict(candidate.loaded.definition["transform"])
    cascade = {key: value for key, value in dict(written.pop("cascade")).items() if key not in ("file", "threshold")}
    tiers = {"cheap": {**written, "cascade": {**cascade, "threshold": 0.0}}, "dear": written}
    setting = replace(asking.setting, evaluators=False)
    runs, cost = {}, 0.0
    for tier, transform in tiers.items():
        loaded = built({**candidate.loaded.definition, "transform": transform}, candidate.loaded.path, _allowed(asking))
        left = None if budget is None else max(1e-9, budget - cost)
        runs[tier] = await _carried(asking, Candidate(f"{tier} tier", loaded), records, setting, left)
        cost += runs[tier].report.cost["total"]
    inputs = {name: record.data for name, record in records.items()}
    cheap = await paid_answers.of_cheap_tier(
        runs["cheap"].report.run_id, runs["cheap"].loaded, asking.config, inputs, asking.params
    )
    dear = runs["dear"].outputs
    return Asked(
        {
            name: Tried(
                "",
                None if (said := cheap[name].outcome.output) is None else class_of(said.get(field)),
                cheap[name].confidence,
                class_of(dear[name].get(field)) if name in dear else None,
            )
            for name in records
        },
        cost,
    )


async def of_evaluator(
    candidate: Candidate,
    records: Mapping[str, ReadRecord],
    judge: ModelJudged,
    outputs: str | None,
    asking: Asking,
    budget: float | None,
) -> Asked:
    """Ask both tiers of the cascade of an evaluator about outputs that are there, or that a transform makes which asks
    no model."""
    if outputs is not None:
        records = with_outputs(records, await read_outputs(outputs, asking.config, candidate.pipeline))
        if not records:
            raise ConfigurationError("None of the records has an output in --outputs.")
        candidate = taking_outputs(candidate, asking.config)
    evaluate = dict(candidate.loaded.definition["evaluate"])
    (written,) = [each for each in evaluate["evaluators"] if each.get("name", each.get("type")) == judge.name]
    own = {key: value for key, value in written.items() if key != "cascade"}
    assert judge.cascade is not None
    cheap = judge.cascade.cheap.model_dump(mode="json", by_alias=True, exclude_unset=True)
    cheap |= {"name": f"{_CHEAP}{judge.name}"[:100], "threshold": 0.5}
    evaluate["evaluators"] = [cheap, own]
    loaded = built({**candidate.loaded.definition, "evaluate": evaluate}, candidate.loaded.path, _allowed(asking))
    run = await _carried(asking, Candidate("both tiers", loaded), records, asking.setting, budget)
    threshold = judge.threshold or 0.0

    def tried(scores: Mapping[str, float]) -> Tried:
        said = scores.get(judge.name)
        verdict = None if said is None else PASS if said >= threshold else FAIL
        return Tried("", "", scores.get(cheap["name"]), verdict)

    return Asked({name: tried(run.scores.get(name, {})) for name in records}, run.report.cost["total"])


async def _carried(
    asking: Asking, candidate: Candidate, records: Mapping[str, ReadRecord], setting: Setting, budget: float | None
) -> CandidateRun:
    given: Sequence[ReadRecord] = list(records.values())
    run = await carry_out(
        asking.session,
        asking.config,
        candidate,
        given,
        setting,
        params=asking.params,
        budget=budget,
        begun=lambda run_id: asking.begun(candidate.name, run_id, len(given)),
        show=asking.show,
    )
    if run.stopped is not None:
        raise ConfigurationError(
            f"No thresholds were chosen, because {run.stopped} before both tiers were asked about every record. What "
            "was paid for is in the journal: the same command with a higher --budget pays for the rest alone."
        )
    return run


def _allowed(asking: Asking) -> Any:
    return asking.config.allowed
