"""Opens what records are looked up in, once for all plans of a worker that mean the same, and asks it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loom_common.caching.resource_cache import ResourceCache
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.json_values.exact_json import dumps
from loom_common.domain.model_options.params import typed
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError, LookupFailed, RecordError
from loom_common.ports.clock import Clock, SystemClock
from loom_common.resilience.breakers import Breakers
from loom_common.worker.consuming.stats import Distribution, Reading
from loom_connectors.lookups.opening import open_lookup, referring_texts_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import Found, Key, Lookup
from loom_transformer.lookups.memory import LookupMemory

_OPEN = 16
"""The number of lookups that stay open in a process."""
_COUNTED = 200
"""The number of places that are counted by name; those beyond are counted together."""
_MEANT = {"source", "query", "by", "url", "record", "fields", "cache", "options"}
"""Names the keys by which two steps look the same things up."""
_MEANING = "Keys of records that were looked up, by where and by what answered."


@dataclass(frozen=True, slots=True)
class _Open:
    lookup: Lookup
    memory: LookupMemory

    async def close(self) -> None:
        await self.lookup.close()


class LookupPlaces:
    """Looks records up on one machine."""

    def __init__(
        self,
        project: Path,
        allowed: tuple[Path, ...] = (),
        credentials: Credentials | None = None,
        breakers: Breakers | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read databases that are files in the folder of the pipeline and in those that are `allowed`."""
        self._project = project
        self._allowed = allowed
        self._credentials = credentials or Credentials()
        self._clock = clock or SystemClock()
        self._breakers = breakers or Breakers(clock=self._clock)
        self._open: ResourceCache[_Open] = ResourceCache(_OPEN, self._credentials)
        self._counts: Counter[tuple[str, str]] = Counter()

    async def find(self, plan: Plan, config: EnrichTransformConfig, keys: Sequence[Key]) -> list[Found]:
        """Return what is found for each key. Those that are not remembered are asked for together, each once.

        Raises `LookupFailed`, `AccessRefused`, and `TransientError` where the system is away."""
        context = self._context(plan)
        texts = referring_texts_of(config)

        async def opened() -> _Open:
            try:
                lookup = await asyncio.to_thread(open_lookup, config, context)
            except ConfigurationError as error:  # found this late, it fails the run
                raise LookupFailed(str(error)) from error
            return _Open(lookup, LookupMemory(config.cache, self._clock.monotonic))

        async with self._open.of(_name(plan, config), opened, texts) as place:
            found = {key: kept[0] for key in dict.fromkeys(keys) if (kept := place.memory.get(key)) is not None}
            asked = [key for key in dict.fromkeys(keys) if key not in found]
            self._count(place.lookup.shown, "remembered", sum(key in found for key in keys))
            if asked:
                async with self._breakers.guarding(f"lookup {place.lookup.shown}"):
                    try:
                        answers = await place.lookup.find(asked)
                    except ConfigurationError as error:
                        raise LookupFailed(str(error)) from error
                for key, answer in zip(asked, answers, strict=True):
                    found[key] = answer
                    place.memory.put(key, answer)
                    self._count(place.lookup.shown, _said(answer), 1)
        return [found[key] for key in keys]

    async def readings(self) -> Sequence[Reading | Distribution]:
        """Return how many keys were looked up where."""
        return [
            Reading("loom_lookups_total", _MEANING, number, {"lookup": place, "answer": answer}, counter=True)
            for (place, answer), number in self._counts.items()
        ]

    async def close(self) -> None:
        """Close the connections to all systems that records were looked up in."""
        async with self._open.closing():
            return

    def _count(self, place: str, answer: str, number: int) -> None:
        known = (place, answer) in self._counts or len(self._counts) < _COUNTED
        if number:
            self._counts[(place if known else "others", answer)] += number

    def _context(self, plan: Plan) -> ConnectorContext:
        return ConnectorContext(
            folder=self._project / plan.base,
            allowed=self._allowed,
            credentials=self._credentials,
            params=typed(plan.pipeline.params, plan.params),
            clock=self._clock,
        )


def _said(answer: Found) -> str:
    return "failed" if isinstance(answer, RecordError) else "missing" if answer is None else "found"


def _name(plan: Plan, config: EnrichTransformConfig) -> str:
    """Return a name that two plans share which look the same things up."""
    said = config.model_dump(mode="json", include=_MEANT)
    return hashlib.sha256(dumps([plan.base, dict(plan.params), said])).hexdigest()
