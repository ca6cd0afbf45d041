"""Chooses which transform a plan means."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from loom_ai.answers.shape import Shape
from loom_ai.http.endpoints import endpoint_of
from loom_ai.journal.models import JournalledModels
from loom_ai.stores.joined.memory import MemoryJoinedTables
from loom_ai.stores.memory.seen_values import MemorySeenValues
from loom_common.config.credentials import Credentials
from loom_common.domain.checks.calibrator import calibrator_of
from loom_common.domain.checks.cascade_file import TRANSFORM, band_of
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.cascade import ConfidenceConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.definition.transforms.metrics import MetricsTransformConfig
from loom_common.domain.definition.transforms.own_code import PluginTransform, PythonTransformConfig
from loom_common.domain.definition.transforms.passthrough import PassthroughTransformConfig
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.model_options.asking import LogprobsConfig, options_of
from loom_common.domain.model_options.providers import ProviderConfig, split_model
from loom_common.domain.ontology.in_plan import domain_in
from loom_common.domain.run.calls import CHEAP, DEAR
from loom_common.domain.run.plan import Plan
from loom_common.domain.schema.output import TEXT
from loom_common.domain.values.durations import seconds
from loom_common.errors import PermanentError, UserCodeError
from loom_common.user_code.functions import load_function
from loom_common.user_code.threads import Threads
from loom_transformer.attachments.attaching import Attaching
from loom_transformer.attachments.memory import AttachmentMemory
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.joining.tables import OtherSources
from loom_transformer.lookups.enrich import EnrichTransform
from loom_transformer.lookups.places import LookupPlaces
from loom_transformer.outcome import Transform
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.steps.dedupe import SeenStore
from loom_transformer.steps.served import Served
from loom_transformer.transforms.ai import AiTransform
from loom_transformer.transforms.calibrated import Calibrated
from loom_transformer.transforms.cascade import AGREEMENT, PROBABILITY, Cascade, Cheap
from loom_transformer.transforms.embed import EmbedTransform
from loom_transformer.transforms.local import Computed
from loom_transformer.transforms.passthrough import Passthrough
from loom_transformer.transforms.python import plugin_transform, python_transform
from loom_transformer.transforms.scorer import Scorers, configured_scorer, scorer_transform


class Catalog:
    """Makes transforms. What is costly to load (scorers) or shared (models) is the worker's, not the plan's."""

    def __init__(
        self,
        models: JournalledModels,
        project: Path,
        threads: Threads | None = None,
        places: AttachmentPlaces | None = None,
        credentials: Credentials | None = None,
        seen: SeenStore | None = None,
        lookups: LookupPlaces | None = None,
        sources: OtherSources | None = None,
        served: Served | None = None,
    ) -> None:
        """`places` reads attachments; without it, those of the project are read. `credentials` has the keys of model
        servers. `seen` keeps the values by which steps compare records; without it, they are kept in memory. `lookups`
        finds records elsewhere; without it, in what the files of the project and no credential lead to.
        `sources` reads what steps join with; without it, they cannot. `served` says which steps with queues of their
        own are taken here; without it, all are, whatever queues they have."""
        self._models = models
        self._project = project
        self._scorers = Scorers(credentials)
        self._threads = threads or Threads()
        self._places = places or AttachmentPlaces((project,))
        self._memory = AttachmentMemory()
        self._seen = seen or SeenStore(MemorySeenValues)
        self._lookups = lookups or LookupPlaces(project, (project,), credentials)
        self._sources = sources or OtherSources(MemoryJoinedTables)
        self._served = served

    async def close(self) -> None:
        """End the processes of scorers, and close what records are looked up in."""
        await self._scorers.close()
        await self._lookups.close()

    def transform_of(self, plan: Plan) -> Transform | None:
        """Return the plan's transform; None where it has nothing to do. Blocks while it imports user code. Raises
        `PermanentError`, `UserCodeError`."""
        made, name = self._made(plan), plan.pipeline.transform.calibration
        return made if made is None or name is None else Calibrated(made, calibrator_of(plan, name))

    def cheap_tier(self, plan: Plan) -> Cheap:
        """Return the cheap tier of the cascade of the plan's transform. Raises as `transform_of` does."""
        config, folder = plan.pipeline.transform, self._project / plan.base
        assert isinstance(config, AiTransformConfig)
        assert config.cascade is not None
        assert config.shape is not None
        shape = Shape(config.shape)
        bounds = Bounds(self._threads, seconds(plan.pipeline.timeouts.record))
        tier, confidence = config.cascade.cheap, config.cascade.confidence
        made: Transform
        if tier.scorer is not None:
            score = self._scorers.get(tier.scorer, folder, tier.classifier)
            made = scorer_transform(tier.scorer, tier.field or "", score, self._scorers.turns(score), None, bounds)
        elif tier.function is not None:
            made = python_transform(tier.function, folder, None, bounds)
        else:
            usual = 1.0 if confidence.samples is not None else config.temperature
            changes = {
                "model": tier.model,
                "temperature": usual if tier.temperature is None else tier.temperature,
                "fallback": None,
                "gleaning": None,
                "pick": None,
                **_samples(confidence),
                **_asked_cheaply(config, confidence, tier.model or "", plan.pipeline.providers),
                **_of_another_provider(config, tier.model or "", plan.pipeline.providers),
            }
            asked = config.model_copy(update=changes)
            attaching = partial(Attaching, self._places, self._memory, folder)
            made = AiTransform(plan, asked, self._models, shape, self._threads, folder, CHEAP, attaching)
        judge = None if confidence.function is None else load_function(confidence.function, folder)
        if inspect.iscoroutinefunction(judge):
            raise UserCodeError(f"`transform.cascade.confidence`: {confidence.function} is async; write it with `def`.")
        return Cheap(made, config.cascade, shape, judge, bounds)

    def _made(self, plan: Plan) -> Transform | None:  # noqa: C901 - one case for each kind
        config, folder = plan.pipeline.transform, self._project / plan.base
        if isinstance(config, StepsTransformConfig):
            from loom_transformer.steps.building import steps_transform

            return steps_transform(
                plan, config, self.transform_of, self._seen, self._sources, self._models, self._served
            )
        shape = None if config.shape is None else Shape(config.shape)
        _see_that_it_fits(config, shape)
        bounds = Bounds(self._threads, seconds(plan.pipeline.timeouts.record))
        match config:
            case AiTransformConfig():
                shape = None if config.output == TEXT else shape
                attaching = partial(Attaching, self._places, self._memory, folder)
                dear = AiTransform(plan, config, self._models, shape, self._threads, folder, attaching=attaching)
                if config.cascade is None:
                    return dear
                cheap = self.cheap_tier(plan)
                names = {CHEAP: config.cascade.cheap.name, DEAR: config.model}
                return Cascade(cheap, dear, names, band_of(plan, TRANSFORM))
            case EmbedTransformConfig():
                return EmbedTransform(plan, config, self._models, self._threads)
            case ScorerTransformConfig():
                return configured_scorer(config, folder, self._scorers, shape, bounds)
            case PythonTransformConfig():
                return python_transform(config.function, folder, shape, bounds)
            case PassthroughTransformConfig():
                return None if shape is None and config.schema_ is None else Passthrough(shape)
            case MetricsTransformConfig():
                return Computed("metrics", _metrics(plan, config), shape, bounds, risk=None)
            case EnrichTransformConfig():
                return EnrichTransform(plan, config, self._lookups, shape)
            case PluginTransform():
                return plugin_transform(config, shape, bounds)


def _metrics(plan: Plan, config: MetricsTransformConfig) -> Callable[[dict[str, Any]], dict[str, float | None]]:
    """Return the function of a record that computes metrics. Raises `PermanentError` where the plan lacks them."""
    ontology = plan.pipeline.ontology
    domain = domain_in(plan.files, ontology.columns if ontology else None)
    known = {} if domain is None else {each.name: each for each in domain.ontology.metrics}
    if domain is None or (missing := [name for name in config.metrics if name not in known]):
        words = "an ontology" if domain is None else f"the metrics {', '.join(missing)}"
        raise PermanentError(f"The run's plan lacks {words}. Start the run again.")
    chosen = [known[name] for name in config.metrics]
    return lambda record: {each.name: domain.value(each, record) for each in chosen}


def _samples(confidence: ConfidenceConfig) -> dict[str, Any]:
    """Return how often the cheap model is asked, as the keys of a transform."""
    if confidence.samples is None:
        return {"n": 1}
    return {"n": confidence.samples, "vote_by": confidence.of, "agreement": AGREEMENT, "records_per_call": 1}


def _asked_cheaply(
    config: AiTransformConfig, confidence: ConfidenceConfig, model: str, providers: Mapping[str, ProviderConfig]
) -> dict[str, Any]:
    """Return how the cheap model is asked: with the transform's options that its protocol has, without the reasoning,
    which is said of the transform's model, and with the probabilities of its tokens where the cascade needs them."""
    has = options_of(endpoint_of(model, providers=providers).provider)
    of = None if confidence.logprobs is True else confidence.logprobs
    return {
        "seed": config.seed if "seed" in has else None,
        "reasoning": None,
        "cache_prompt": config.cache_prompt and "cache_prompt" in has,
        "logprobs": None if confidence.logprobs is None else LogprobsConfig(of=of, into=PROBABILITY),
        **({} if confidence.logprobs is None else {"records_per_call": 1}),
    }


def _of_another_provider(
    config: AiTransformConfig, model: str, providers: Mapping[str, ProviderConfig]
) -> dict[str, Any]:
    """Return what of the transform's settings does not hold for a model of another provider: where it is, its key, and
    what is sent besides."""
    configured = dict(providers)
    if split_model(model, configured)[0] == split_model(config.model, configured)[0]:
        return {}
    return {"base_url": None, "api_key": None, "params": {}, "extra_body": {}, "headers": {}, "rate_limit": None}


def _see_that_it_fits(config: TransformConfig, shape: Shape | None) -> None:
    """A fixed output that does not fit would be loaded unseen. Raises `PermanentError`."""
    value = config.fallback.value if config.fallback else None
    if value is not None and shape is not None and (misfit := shape.misfit(value)) is not None:
        raise PermanentError(f"`transform.fallback.value` does not fit the declared `output` ({misfit}).")
