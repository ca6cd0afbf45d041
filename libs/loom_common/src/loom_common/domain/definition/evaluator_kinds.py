"""Defines which evaluators a pipeline may name: those that Loom brings, by their `type`, and those of plugins."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WrapSerializer,
)

from loom_common.domain.chosen_model import ChosenModel
from loom_common.domain.definition.evaluators import (
    Contains,
    CustomCriteria,
    EmbeddingSimilarity,
    Evaluator,
    ExactMatch,
    Factuality,
    Groundedness,
    JsonSchema,
    Length,
    ModelJudged,
    Pairwise,
    PythonEvaluator,
    Range,
    Regex,
    Relevance,
    Semantic,
)
from loom_common.domain.plugin_section import PluginSection, dump_as_itself, plugin_model, read_plugin
from loom_common.domain.section import Mistake, mistakes_in, refusal, said
from loom_common.domain.values.near import closest
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import names


class PluginEvaluator(PluginSection, Evaluator):
    """Serves as the base of evaluators that a plugin brings. A subclass adds its own keys, and builds what scores."""

    type: str

    @abstractmethod
    def build(self) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
        """Build a function, sync or async, of a record's output and its input. It returns a score from 0 to 1, or a
        pair of the score and an explanation. It is built once for each pipeline version in every evaluator process."""


BuiltIn = (
    ExactMatch
    | Contains
    | Regex
    | JsonSchema
    | Range
    | Length
    | PythonEvaluator
    | EmbeddingSimilarity
    | Semantic
    | CustomCriteria
    | Factuality
    | Groundedness
    | Relevance
    | Pairwise
)
EVALUATORS: dict[str, type[Evaluator]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(BuiltIn)
}
"""Holds the evaluators that Loom brings, by their `type`."""
MODEL_JUDGED = frozenset(name for name, model in EVALUATORS.items() if issubclass(model, ModelJudged))
"""Holds the types that ask a model."""
_built_in: TypeAdapter[BuiltIn] = TypeAdapter(
    Annotated[BuiltIn, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)


def evaluator_model(kind: str) -> type[Evaluator] | None:
    """Return the model of an evaluator's keys; None where there is no such evaluator. Raises `PluginUnusable`."""
    return EVALUATORS.get(kind) or plugin_model(Kind.EVALUATOR, kind, PluginEvaluator)  # type: ignore[type-abstract]


def asks_a_model(written: Any) -> bool:
    """Say whether an evaluator, as written or as a model, is one whose `model` is asked, or of a type that is not
    there."""
    kind = said(written, "type")
    try:
        model = evaluator_model(kind) if isinstance(kind, str) else None
    except PluginUnusable:
        return False
    return model is None or issubclass(model, ModelJudged)


def read_evaluator(written: Any) -> Evaluator:
    """Read an evaluator by the model of its type. Raises `ValidationError` with every mistake."""
    if isinstance(written, Evaluator):
        return written
    read: Evaluator = _of_its_type(written, _unread)
    return read


def _unread(value: Any, _: str | int | None = None, /) -> Any:
    return value


def with_cheap_tiers(evaluators: Iterable[Evaluator]) -> Iterator[Evaluator]:
    """Yield the evaluators, and after each the cheap tier of its cascade, where it has one."""
    for each in evaluators:
        yield each
        if isinstance(each, ModelJudged) and each.cascade is not None:
            yield each.cascade.cheap


def evaluator_names() -> list[str]:
    """Return every evaluator that may be named here."""
    return [*EVALUATORS, *names(Kind.EVALUATOR)]


def _of_its_type(written: Any, any_kind: Callable[[Any], Any]) -> Any:
    """Tell of an evaluator of a type that is not there its other mistakes told, too: all of them where a type has
    nearly that name, else those in the keys that every evaluator has."""
    if isinstance(written, Evaluator):
        return any_kind(written)
    kind = written.get("type") if isinstance(written, Mapping) else None
    if kind not in EVALUATORS:
        read = read_plugin(Kind.EVALUATOR, written, PluginEvaluator)  # type: ignore[type-abstract]
        if read is not None:
            return read
    if kind in EVALUATORS:
        try:
            return EVALUATORS[kind].model_validate(written)
        except ValidationError as error:
            raise refusal("evaluator", mistakes_in(error, kind)) from None
    try:
        return _built_in.validate_python(written)
    except ValidationError as error:
        if not isinstance(written, Mapping):
            raise
        near = closest(str(kind), EVALUATORS)
        found = [*mistakes_in(error), *_other_mistakes(written, near)]
        raise refusal("evaluator", found) from None


def _other_mistakes(written: Mapping[str, Any], near: str | None) -> list[Mistake]:
    kind = near or "length"
    try:
        EVALUATORS[kind].model_validate({**written, "type": kind})
    except ValidationError as error:
        shared = Evaluator.model_fields
        return [each for each in mistakes_in(error, kind) if near or (each["loc"][1:] and each["loc"][1] in shared)]
    return []


EvaluatorConfig = Annotated[BuiltIn | PluginEvaluator, ChosenModel(_of_its_type), WrapSerializer(dump_as_itself)]
