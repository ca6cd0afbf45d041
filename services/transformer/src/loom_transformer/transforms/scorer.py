"""Implements `scorer`, a local model over one text field. Loaded once per worker, whatever the number of runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.model_options.scorers import TEXTS, Classifier, ScorerBatch, is_server, size_in_bytes
from loom_common.domain.values.durations import seconds
from loom_common.errors import RecordError, UserCodeError
from loom_common.foreign_code.process_guard import foreign
from loom_common.text import named
from loom_common.user_code.poison_isolation import USER_CODE
from loom_transformer.outcome import Transform
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.scoring.calls import Calls, InProcess
from loom_transformer.scoring.instances import Apart, Instances
from loom_transformer.scoring.loading import BUILTIN, Score, importable, load_scorer
from loom_transformer.scoring.processes import Spec, processors
from loom_transformer.scoring.turns import Turns
from loom_transformer.transforms.batched import Batched
from loom_transformer.transforms.local import Computed

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape
    from loom_transformer.scoring.server import ModelServer


class Scorers:
    """Keeps loaded scorers by reference and folder. A class is made into one instance."""

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._loaded: dict[tuple[str, Path, Classifier], Score] = {}
        self._turns: dict[int, Turns] = {}
        self._lock = threading.Lock()
        self._credentials = credentials or Credentials()
        self._apart: dict[Spec, Instances] = {}
        self._servers: dict[tuple[str, str | None], ModelServer] = {}

    def get(self, reference: str, folder: Path, classifier: Classifier | None = None) -> Score:
        """Load `vader`, an ONNX file, or `module:name` of a function, or of a class whose instances are called or have
        a method `score(texts)`. Raises `UserCodeError`."""
        with self._lock:
            key = (reference, folder, classifier or Classifier())
            if key not in self._loaded:
                self._loaded[key] = load_scorer(*key)
            return self._loaded[key]

    def turns(self, score: Score) -> Turns:
        """Return the turns of a loaded scorer, which all pipelines that name it share."""
        with self._lock:
            return self._turns.setdefault(id(score), Turns(score))  # it stays loaded, so that its id stays its own

    def apart(self, config: ScorerTransformConfig, folder: Path, bounds: Bounds) -> Calls | None:
        """Return what calls the scorer at its server, or in processes of its own; None where it runs in this one.
        Pipelines that name the same share it."""
        with self._lock:
            if is_server(config.scorer):
                from loom_transformer.scoring.server import AtServer, ModelServer

                place = (config.scorer, config.api_key)
                if place not in self._servers:
                    self._servers[place] = ModelServer(*place, self._credentials)
                return AtServer(self._servers[place], bounds.seconds)
            if config.instances is None:
                return None
            memory = None if config.memory is None else size_in_bytes(config.memory)
            count = processors() if config.instances == "auto" else config.instances
            spec = Spec(importable(config.scorer), folder, config.warm_up, memory, count, config.classifier)
            if spec not in self._apart:
                self._apart[spec] = Instances(spec)
            return Apart(self._apart[spec], bounds.seconds)

    async def close(self) -> None:
        """End the processes, and the connections to servers."""
        await asyncio.gather(*(each.close() for each in self._apart.values()))
        await asyncio.gather(*(each.close() for each in self._servers.values()))


def configured_scorer(
    config: ScorerTransformConfig, folder: Path, scorers: Scorers, shape: Shape | None, bounds: Bounds
) -> Transform:
    """Return the transform that a section of type `scorer` describes. Raises `UserCodeError`."""
    calls = scorers.apart(config, folder, bounds)
    if calls is None:
        score = scorers.get(config.scorer, folder, config.classifier)
        turns = scorers.turns(score)
        return scorer_transform(config.scorer, config.field, score, turns, shape, bounds, config.batch, config.warm_up)
    return _together(config.scorer, config.field, calls, config.batch, shape)


def scorer_transform(
    reference: str,
    field: str,
    score: Score,
    turns: Turns,
    shape: Shape | None,
    bounds: Bounds | None = None,
    batch: ScorerBatch | None = None,
    warm_up: str | None = None,
) -> Transform:
    """Apply `score` to the text in `field`: to one text at a time where it can be called, else to some by its method
    `score`. Raises `UserCodeError` where it has none and a `batch` is named, and where it cannot be warmed up."""
    bounds = bounds or Bounds()
    if not callable(score):
        return _together(reference, field, InProcess(reference, score, bounds, warm_up, turns), batch, shape)
    if batch is not None:
        words = f"`transform.batch`: {reference} takes one text at a time; give it a method `score(texts)`."
        raise UserCodeError(words)
    if warm_up is not None:
        _warm(reference, score, warm_up)
    risk = None if reference in BUILTIN else USER_CODE
    text_of = _text_in(field)
    return Computed(reference, lambda data: score(text_of(data)), shape, bounds, risk=risk, turns=turns)


def _together(name: str, field: str, calls: Calls, batch: ScorerBatch | None, shape: Shape | None) -> Transform:
    size = TEXTS if batch is None else batch.size
    wait = 0.0 if batch is None or batch.wait is None else seconds(batch.wait)
    return Batched(name, _text_in(field), calls, size, shape, wait)


def _warm(reference: str, score: Score, text: str) -> None:
    try:
        with foreign():
            score(text)
    except BaseException as error:  # it is the user's code
        words = f"{reference} cannot score the text of `transform.warm_up`: {named(error)}"
        raise UserCodeError(words) from error


def _text_in(field: str) -> Callable[[dict[str, Any]], str]:
    def text_of(data: dict[str, Any]) -> str:
        if field not in data:
            raise RecordError(
                f"The field '{field}' is missing; the record has {', '.join(data) or 'no fields'}", code="missing_field"
            )
        if data[field] is None:
            raise RecordError(f"The field '{field}' is empty: there is nothing to score", code="missing_field")
        return str(data[field])

    return text_of
