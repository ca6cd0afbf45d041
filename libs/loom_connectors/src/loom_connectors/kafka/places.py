"""Says from which offsets a topic is read: from those that are kept, those of the group, or those where it begins."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loom_common.errors import SourceError
from loom_common.logs.logger import log
from loom_connectors.kafka.address import Address
from loom_connectors.kafka.cluster import Cluster, Topic
from loom_connectors.kafka.messages import KafkaMessage
from loom_connectors.kafka.options import BEGINNING, KafkaOptions
from loom_connectors.ports.places import END, START, TIMES, FoundPlace, NamedPlace

_LOOK_SECONDS = 60.0
"""Says how often the partitions of a topic are looked at: new ones are read, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Says where reading stands. It is the state that `receive` goes on from."""

    topic: str | None
    """The id of the topic, where the brokers know it."""
    offsets: Mapping[int, int]
    """Holds the offset of the message that is next, by partition."""
    until: Mapping[int, int] | None = None
    """Holds the offset before which a run ends, by partition; None for a stream."""

    @staticmethod
    def of(state: Any) -> Place:
        until = state.get("until")
        return Place(state["topic"], _numbered(state["offsets"]), None if until is None else _numbered(until))

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {"topic": self.topic, "offsets": _named(self.offsets)}
        return found if self.until is None else {**found, "until": _named(self.until)}

    @property
    def left(self) -> int:
        """Count the offsets that a run has not read."""
        until = self.until or {}
        return sum(max(0, last - self.offsets.get(partition, 0)) for partition, last in until.items())

    @property
    def unread(self) -> dict[int, int]:
        """Return the offsets of those partitions that have something to be read."""
        if self.until is None:
            return dict(self.offsets)
        return {each: offset for each, offset in self.offsets.items() if offset < self.until.get(each, 0)}

    def after(self, found: Iterable[KafkaMessage]) -> Place:
        """Return the place after these messages."""
        return replace(self, offsets={**self.offsets, **{each.partition: each.offset + 1 for each in found}})

    def at(self, offsets: Mapping[int, int]) -> Place:
        """Return the place where reading stands at these offsets. That of a run lies before its end."""
        until = self.until or {}
        reached = {each: min(offset, until.get(each, offset)) for each, offset in offsets.items()}
        return replace(self, offsets={**self.offsets, **reached})


class Places:
    """Finds places in a topic. Every method raises what `Cluster` raises."""

    def __init__(self, cluster: Cluster, address: Address, options: KafkaOptions) -> None:
        self._cluster = cluster
        self._address = address
        self._options = options
        self._looked_at = float("-inf")

    async def see_group_is_free(self) -> None:
        """Raise `SourceError` where other programs are members of the group: they commit offsets of their own, and the
        brokers take none of Loom's."""
        if members := await self._cluster.members():
            raise SourceError(
                f"The group '{self._address.group}' of Kafka at {self._address.shown} has members that are other "
                f"programs: {members}. Have Loom read by a group of its own: "
                f"kafka://.../{self._address.topic}?group=loom-{self._address.topic}."
            )

    async def first(self, *, to_the_end: bool) -> Place:
        """Return where the group stands, and, where it is for a run `to_the_end`, where the topic ends now."""
        topic = await self._topic()
        offsets = await self._cluster.committed(topic.partitions)
        if missing := [each for each in topic.partitions if each not in offsets]:
            # A partition that the others' group does not know is newer than the group: it is read from its beginning.
            offsets |= await (self._cluster.earliest(missing) if offsets else self._begin(missing))
        if not to_the_end:
            return Place(topic.id, offsets)
        # What retention has removed is not waited for.
        earliest = await self._cluster.earliest(topic.partitions)
        there = {each: max(offset, earliest.get(each, 0)) for each, offset in offsets.items()}
        return Place(topic.id, there, await self._cluster.latest(topic.partitions))

    async def now(self, place: Place) -> Place:
        """Return the place with what has become of the topic meanwhile: partitions that are new, or another topic of
        the same name."""
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return place
        topic = await self._topic()
        if place.topic is not None and topic.id is not None and topic.id != place.topic:
            log.warning("the topic was deleted and made anew; it is read from its beginning", topic=self._address.topic)
            until = None if place.until is None else await self._cluster.latest(topic.partitions)
            return Place(topic.id, await self._cluster.earliest(topic.partitions), until)
        there = set(topic.partitions)
        kept = {each: offset for each, offset in place.offsets.items() if each in there}
        new = [] if place.until is not None else [each for each in topic.partitions if each not in kept]
        if new:
            kept |= await self._cluster.earliest(new)
        until = None if place.until is None else {each: last for each, last in place.until.items() if each in there}
        return Place(topic.id, kept, until)

    async def moved(self, place: Place, partitions: Sequence[int]) -> Place:
        """Return the place with the beginning of those partitions that do not have the offset that comes next: messages
        were removed before they were kept, or the partition is shorter than it was."""
        earliest = await self._cluster.earliest(partitions)
        for partition in partitions:
            before, after = place.offsets[partition], earliest[partition]
            if after > before:
                log.warning(
                    "messages were removed from the topic before they were kept",
                    topic=self._address.topic,
                    partition=partition,
                    messages=after - before,
                )
            else:
                log.warning(
                    "a partition ends before what was read of it; it is read from its beginning",
                    topic=self._address.topic,
                    partition=partition,
                    offset=before,
                )
        return replace(place, offsets={**place.offsets, **earliest})

    async def named(self, named: NamedPlace, state: Any, remembered_seconds: float) -> FoundPlace:
        """Find the place that somebody has named, for a stream that has come to `state`."""
        topic = await self._topic()
        earliest, latest = await self._cluster.earliest(topic.partitions), await self._cluster.latest(topic.partitions)
        before = await self._before(topic, state)
        offsets = await self._offsets_at(named, topic, earliest, latest, before)
        again = [each for each, offset in before.items() if offsets[each] < offset]
        since = (named.now - dt.timedelta(seconds=remembered_seconds)).timestamp() * 1000
        young = await self._cluster.since(again, round(since)) if again else {}
        return FoundPlace(
            Place(topic.id, offsets).state,
            _words(offsets),
            _words(before) if state is not None else None,
            back=bool(again) and state is not None,
            told_apart=True,
            recent=all(offsets[each] >= young[each] for each in again),
        )

    async def _before(self, topic: Topic, state: Any) -> dict[int, int]:
        """Return how far a stream has come in the partitions that there are; its group, where it has read nothing."""
        if state is None:
            return await self._cluster.committed(topic.partitions)
        offsets = Place.of(state).offsets
        return {each: offset for each, offset in offsets.items() if each in set(topic.partitions)}

    async def _offsets_at(
        self,
        named: NamedPlace,
        topic: Topic,
        earliest: Mapping[int, int],
        latest: Mapping[int, int],
        before: Mapping[int, int],
    ) -> dict[int, int]:
        """Return the offsets of a place. A partition that it does not name stays where it is."""
        if named.text in (START, END):
            return dict(earliest if named.text == START else latest)
        if (moment := named.moment) is not None:
            return await self._cluster.since(topic.partitions, round(moment.timestamp() * 1000))
        there = f"the topic '{self._address.topic}' of {self._address.shown}"
        given = _OFFSETS.fullmatch(named.text.replace(" ", ""))
        if given is None:
            named.refuse(there, _EXPECTED)
        found = {int(each): int(offset) for each, _, offset in (pair.partition(":") for pair in given[0].split(","))}
        for partition, offset in found.items():
            if partition not in earliest:
                named.refuse(there, _EXPECTED, f"it has the partitions {', '.join(map(str, topic.partitions))}")
            if not earliest[partition] <= offset <= latest[partition]:
                has = f"partition {partition} has the offsets {earliest[partition]} to {latest[partition]}"
                named.refuse(there, _EXPECTED, has)
        missing = [each for each in topic.partitions if each not in found and each not in before]
        return {**(await self._begin(missing) if missing else {}), **before, **found}

    async def _topic(self) -> Topic:
        topic = await self._cluster.topic()
        self._looked_at = time.monotonic()
        return topic

    async def _begin(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return where a group begins that has no offsets."""
        if (milliseconds := self._options.start_ms) is not None:
            return await self._cluster.since(partitions, milliseconds)
        beginning = self._options.start == BEGINNING
        return await (self._cluster.earliest(partitions) if beginning else self._cluster.latest(partitions))


_OFFSETS = re.compile(r"\d{1,9}:\d{1,18}(?:,\d{1,9}:\d{1,18})*")
_EXPECTED = f"{TIMES}, offsets by partition (0:120,1:98), `{START}` or `{END}`"


def _words(offsets: Mapping[int, int]) -> str:
    return ", ".join(f"partition {partition} offset {offset}" for partition, offset in sorted(offsets.items()))


def _numbered(written: Mapping[str, int]) -> dict[int, int]:
    return {int(partition): offset for partition, offset in written.items()}


def _named(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): offset for partition, offset in sorted(offsets.items())}
