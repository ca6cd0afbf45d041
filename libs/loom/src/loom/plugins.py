"""Defines what can be added to Loom: the bases that plugins are made of, `register_*`, and a list of all that is
there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom.project.configured.engine_names import OF_MODE, find_engine
from loom_common.config.credentials import BUILTIN as CREDENTIALS
from loom_common.config.credentials import CredentialProvider, plugin_provider, provider_names_in
from loom_common.domain.definition.evaluator_kinds import EVALUATORS, PluginEvaluator
from loom_common.domain.definition.pipeline import Pipeline, models_of
from loom_common.domain.definition.quality_gate import GATES, GateConfig, PluginGate
from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.domain.definition.transforms.own_code import PluginTransform, registered_model
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.model_options.providers import PROVIDERS, Provider, known_provider, split_model
from loom_common.domain.plugin_section import concrete, plugin_model
from loom_common.domain.quality.kinds import Custom, Reference
from loom_common.domain.steps.joining import join_steps
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.registered.find import usable_step
from loom_common.domain.steps.views import by_step
from loom_common.errors import ConfigurationError, UserCodeError
from loom_common.plugins.callables import name_elsewhere
from loom_common.plugins.installed import offered
from loom_common.plugins.kinds import PLUGIN_API, Kind
from loom_common.plugins.registry import find, register, registered
from loom_common.quality.compiled import function_of
from loom_connectors import plugged
from loom_connectors.built_in import DESTINATIONS, FORMATS, SOURCES, STORAGES
from loom_connectors.registry import plugin_names, register_format, register_storage
from loom_evaluator.gates import gate_of
from loom_transformer.scoring.loading import BUILTIN as SCORERS
from loom_transformer.scoring.loading import load_scorer

__all__ = [
    "PLUGIN_API",
    "Kind",
    "PluginEvaluator",
    "PluginGate",
    "PluginTransform",
    "Provider",
    "register_check",
    "register_credentials",
    "register_evaluator",
    "register_format",
    "register_provider",
    "register_scorer",
    "register_storage",
    "register_transform",
]

_OWN: Mapping[Kind, tuple[str, ...]] = {
    Kind.SOURCE: tuple(SOURCES),
    Kind.DESTINATION: tuple(DESTINATIONS),
    Kind.FORMAT: tuple(FORMATS),
    Kind.STORAGE: tuple(each for each in STORAGES if each),
    Kind.TRANSFORM: tuple(TRANSFORMS),
    Kind.EVALUATOR: tuple(EVALUATORS),
    Kind.GATE: GATES,
    Kind.SCORER: tuple(SCORERS),
    Kind.PROVIDER: tuple(PROVIDERS),
    Kind.CREDENTIAL: CREDENTIALS,
    Kind.STEP: tuple(OPERATORS),
    Kind.ENGINE: tuple(OF_MODE.values()),
}
"""Says what Loom brings, by kind."""


def register_evaluator(name: str, evaluator: type[PluginEvaluator]) -> None:
    """Make `type: <name>` of an evaluator mean `evaluator`, in this process. Raises `ConfigurationError` for the name
    of an evaluator that Loom brings."""
    register(Kind.EVALUATOR, name, evaluator, EVALUATORS)


def register_transform(name: str, transform: type[PluginTransform]) -> None:
    """Make `type: <name>` of the transform mean `transform`, in this process. Raises `ConfigurationError` for the
    name of a transform that Loom brings."""
    register(Kind.TRANSFORM, name, transform, TRANSFORMS)


def register_scorer(name: str, scorer: Callable[[str], Any]) -> None:
    """Make `scorer: <name>` mean a function of a text, or a class whose instances are called, in this process. Raises
    `ConfigurationError` for the name of a scorer that Loom brings."""
    register(Kind.SCORER, name, scorer, SCORERS)


def register_check(name: str, check: Callable[[Any], Any]) -> None:
    """Make `function: <name>` of a `custom` quality check mean a function of a value, in this process. It returns
    whether the value holds, or a pair of that and a reason."""
    register(Kind.CHECK, name, check)


def register_provider(name: str, provider: Provider) -> None:
    """Make `model: <name>:...` mean models of `provider`, in this process. Raises `ConfigurationError` for the
    name of a provider that Loom knows."""
    register(Kind.PROVIDER, name, provider, PROVIDERS)


def register_credentials(name: str, provider: CredentialProvider) -> None:
    """Make `${<name>:...}` ask `provider` for secrets, in this process. Raises `ConfigurationError` for `env` and
    `file`."""
    register(Kind.CREDENTIAL, name, provider, CREDENTIALS)


@dataclass(frozen=True, slots=True)
class Listed(Shown):
    """Describes a plugin, and where it comes from."""

    kind: Kind
    name: str
    package: str
    version: str
    problem: str | None = None
    """Says why it cannot be used; None where it can, or nobody has looked."""


def list_plugins(kind: Kind | None = None, *, check: bool = False) -> list[Listed]:
    """List everything that may be named: Loom's own, what installed packages offer, and what was registered in this
    process. Nothing is imported unless `check` asks whether each can be."""
    return [each for each in _listed(check=check) if kind in (None, each.kind)]


def _listed(*, check: bool) -> Iterator[Listed]:
    from importlib.metadata import version

    own = version("loom-pipelines")
    for kind in Kind:
        for name in _OWN.get(kind, ()):
            yield Listed(kind, name, "loom", own)
        for name in registered(kind):
            yield Listed(kind, name, "(registered in this process)", "")
        for plugin in (each for each in offered() if each.kind is kind):
            problem = None
            if plugin.name in _OWN.get(kind, ()):
                problem = f"The {kind} '{plugin.name}' is Loom's own, and this one is never used. Give it another name."
            elif check:
                problem = _trouble(plugin.kind, plugin.name)
            yield Listed(kind, plugin.name, plugin.package, plugin.version, problem)


def _trouble(kind: Kind, name: str) -> str | None:
    try:
        match kind:
            case Kind.EVALUATOR | Kind.TRANSFORM | Kind.STEP:
                _see_model(kind, name)
            case Kind.GATE:
                _see_gate(name)
            case Kind.CHECK:
                function_of(name, Path())
            case Kind.SCORER:
                load_scorer(name, Path())
            case Kind.PROVIDER:
                known_provider(name)
            case Kind.CREDENTIAL:
                plugin_provider(name)
            case Kind.ENGINE:
                find_engine(name)
            case Kind.SOURCE | Kind.DESTINATION | Kind.FORMAT | Kind.STORAGE:
                plugged.check(kind, name)
    except UserCodeError as error:
        return str(error)
    return None


def _see_model(kind: Kind, name: str) -> None:
    """Raises `PluginUnusable` where what has keys of its own cannot be used."""
    if kind is Kind.EVALUATOR:
        plugin_model(kind, name, PluginEvaluator)  # type: ignore[type-abstract]  # a subclass is found
    elif kind is Kind.TRANSFORM:
        plugin_model(kind, name, PluginTransform)  # type: ignore[type-abstract]  # a subclass is found
    else:
        registered_model(name)


def _see_gate(name: str) -> None:
    """A gate with keys is not made, because they are not known here. Raises `UserCodeError`."""
    found = find(Kind.GATE, name)
    if isinstance(found, type) and issubclass(found, PluginGate):
        concrete(Kind.GATE, name, found)
    else:
        gate_of(GateConfig(type=name), Path())


def refuse_registered(pipeline: Pipeline) -> None:
    """Raises `ConfigurationError` where a pipeline that is to run in a cluster names what was registered in this
    process alone: the cluster's workers would not find it."""
    for kind, name in _named(pipeline):
        if name in registered(kind):
            elsewhere = name_elsewhere(registered(kind)[name]) or "module:name"
            raise ConfigurationError(
                f"The {kind} '{name}' was registered in this Python process, and the workers of a cluster would not "
                f"find it. Name it `{elsewhere}`, or offer it by an entry point of the group {kind.group} in a package "
                "that is installed where they run."
            )


def _named(pipeline: Pipeline) -> Iterator[tuple[Kind, str]]:
    """Yield what a pipeline names, by kind."""
    extract, load = pipeline.extract, pipeline.load
    yield from plugin_names(extract.source, extract.options, Kind.SOURCE)
    yield from plugin_names(load.destination, load.options, Kind.DESTINATION)
    if load.second is not None:
        yield from plugin_names(load.second.destination, load.second.options, Kind.DESTINATION)
    for step in join_steps(pipeline):
        yield from plugin_names(step.source, step.options, Kind.SOURCE)
    for _, alone in by_step(pipeline):
        yield (Kind.STEP if usable_step(alone.transform.type) else Kind.TRANSFORM), alone.transform.type
        if isinstance(alone.transform, ScorerTransformConfig):
            yield Kind.SCORER, alone.transform.scorer
    if pipeline.evaluate is not None:
        yield from ((Kind.EVALUATOR, each.type) for each in pipeline.evaluate.evaluators)
        yield Kind.GATE, pipeline.evaluate.quality_gate.type
    for each in (*extract.quality_checks, *load.quality_checks):
        if isinstance(each, Custom):
            yield Kind.CHECK, each.function
        if isinstance(each, Reference):
            yield from plugin_names(each.source, each.options, Kind.SOURCE)
    providers = {split_model(model, pipeline.providers)[0] for model in models_of(pipeline)}
    yield from ((Kind.PROVIDER, name) for name in providers)
    known = [provider for name in providers if (provider := known_provider(name)) is not None]
    usual = [text for provider in known for text in (provider.base_url, provider.key) if text is not None]
    for text in (*_texts(pipeline.model_dump(mode="json")), *usual):
        yield from ((Kind.CREDENTIAL, name) for name in provider_names_in(text))


def _texts(written: Any) -> Iterator[str]:
    """Yield every text of a definition."""
    if isinstance(written, str):
        yield written
    elif isinstance(written, Mapping):
        yield from (text for value in written.values() for text in _texts(value))
    elif isinstance(written, list):
        yield from (text for value in written for text in _texts(value))
