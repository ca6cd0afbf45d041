"""Defines which transforms a pipeline may name: those that Loom brings, by their `type`, and those of plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import Field, ValidationError, WrapSerializer

from loom_common.domain.chosen_model import ChosenModel
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.definition.transforms.metrics import MetricsTransformConfig
from loom_common.domain.definition.transforms.own_code import PluginTransform, PythonTransformConfig
from loom_common.domain.definition.transforms.passthrough import PassthroughTransformConfig
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.definition.transforms.steps import STEPS, StepsTransformConfig
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.plugin_section import dump_as_itself, plugin_model, unusable
from loom_common.domain.section import Mistake, mistake, mistakes_in, refusal, said
from loom_common.domain.values.near import closest
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import names

BuiltIn = (
    AiTransformConfig
    | EmbedTransformConfig
    | ScorerTransformConfig
    | PythonTransformConfig
    | PassthroughTransformConfig
    | MetricsTransformConfig
    | EnrichTransformConfig
    | StepsTransformConfig
)
TRANSFORMS: dict[str, type[TransformConfig]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(BuiltIn)
}
"""Holds the transforms that Loom brings, by their `type`."""
_OWN_KEYS = {
    kind: frozenset(model.model_fields.keys() | {"prompt_path"} if kind == "ai" else model.model_fields)
    - TransformConfig.model_fields.keys()
    - {"type"}
    for kind, model in TRANSFORMS.items()
}
"""Holds the keys that a transform of a type has beside those of every transform."""
_KEYS_OF_A_TYPE = frozenset[str]().union(*_OWN_KEYS.values())


def transform_names() -> list[str]:
    """Return every transform that may be named here. One that has steps is known by them."""
    return [*(name for name in TRANSFORMS if name != STEPS), *names(Kind.TRANSFORM)]


def transform_model(written: Any) -> type[TransformConfig]:
    """Return the model of a transform's keys. Where there is no transform of the type that is written, it is that of
    Loom's own transform which has nearly that name, or else most of the keys. Raises `PluginUnusable`."""
    if isinstance(written, TransformConfig):
        return type(written)
    kind = said(written, "type")
    if kind is None and said(written, "steps") is not None:
        return StepsTransformConfig
    if not isinstance(kind, str):
        return _most_alike(written)
    model = TRANSFORMS.get(kind) or plugin_model(Kind.TRANSFORM, kind, PluginTransform)  # type: ignore[type-abstract]
    near = closest(kind, TRANSFORMS)
    return model or (TRANSFORMS[near] if near else _most_alike(written))


def asks_models(written: Any) -> bool:
    """Tell whether a transform is one whose `model` is asked with its `prompt`."""
    try:
        return issubclass(transform_model(written), AiTransformConfig)
    except PluginUnusable:
        return False


def _most_alike(written: Any) -> type[TransformConfig]:
    keys = frozenset(written) if isinstance(written, Mapping) else frozenset[str]()
    return TRANSFORMS[max(TRANSFORMS, key=lambda kind: len(keys & _OWN_KEYS[kind]))]


def _of_its_type(written: Any, any_kind: Callable[[Any], Any]) -> Any:
    """A transform is read by the model of its type. Where the type itself is a mistake, those in other keys are told,
    too."""
    if isinstance(written, TransformConfig):
        return any_kind(written)
    try:
        return transform_model(written).model_validate(written)
    except PluginUnusable as error:
        raise refusal("transform", [unusable(("type",), error, said(written, "type"))]) from error
    except ValidationError as error:
        raise refusal("transform", of_the_type(mistakes_in(error), written)) from None


def of_the_type(found: list[Mistake], written: Any) -> Iterator[Mistake]:
    """Yield the mistakes in a transform, in terms of its type: which keys it needs, and which belong to another type.
    Where there is no such type, neither is known."""
    kind, missing = said(written, "type"), list[str]()
    of_a_type = not any(each.get("loc") == ("type",) for each in found)
    for each in found:
        path = each.get("loc", ())
        key = path[0] if len(path) == 1 else None
        if each["type"] == "missing" and key not in (None, "type"):
            missing.append(f"`{key}`")
        elif each["type"] != "extra_forbidden" or key not in _KEYS_OF_A_TYPE:
            yield each
        elif of_a_type:
            yield mistake(path, "strange_for_type", f"no `{key}` in a transform of type {kind}", each["input"])
    if missing and of_a_type:
        expected = f"{' and '.join(missing)}, which a transform of type {kind} needs"
        yield mistake((), "missing_for_type", expected, written)


AnyTransform = Annotated[
    Annotated[BuiltIn, Field(discriminator="type")] | PluginTransform,
    ChosenModel(_of_its_type),
    WrapSerializer(dump_as_itself),
]
