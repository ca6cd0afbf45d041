"""Reads a topic of Kafka, and commits offsets to its group once what lies before them is kept.

Loom says who reads, and keeps the offsets with the messages: partitions are read from there, and not assigned by the
group, which would move them to and fro between extractors that read by turns (docs/adr/0070)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import DependencyUnavailable, LoomError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage
from loom_connectors.kafka.address import Address
from loom_connectors.kafka.cluster import Cluster
from loom_connectors.kafka.errors import error_of, trouble
from loom_connectors.kafka.messages import KafkaMessage, identity_of, records_of
from loom_connectors.kafka.options import KafkaOptions
from loom_connectors.kafka.places import Place, Places
from loom_connectors.kafka.reader import Reader
from loom_connectors.ports.places import FoundPlace, NamedPlace
from loom_connectors.ports.source import Page, ReadRecord

QUIET_SECONDS = 1.0
"""The most that is waited for a message before whoever asks looks whether to ask again."""
_SHORTEST_SECONDS = 0.001
_STEP_SECONDS = 0.1
"""Says how often a run looks whether it has come to the end."""
_SILENCE_SECONDS = 60.0
"""Says how long a run waits for messages that stand in the topic and do not come."""

Commit = Callable[[Mapping[int, int]], Awaitable[None]]


class ReceivedKafkaMessages:
    """Holds messages whose offsets are not committed."""

    def __init__(
        self,
        found: Sequence[KafkaMessage],
        identities: Sequence[str],
        place: Place,
        *,
        end: bool = False,
        commit: Commit | None = None,
    ) -> None:
        self.messages = [ReceivedMessage(each.encoded(), name) for each, name in zip(found, identities, strict=True)]
        self.state = place.state
        self.end = end
        self._offsets = place.offsets
        self._commit = commit

    async def acknowledge(self) -> None:
        if self._commit is not None:
            await self._commit(self._offsets)

    async def give_back(self) -> None:
        """Do nothing: whoever goes on reads from the offsets that were kept before."""


class KafkaSource:
    """Represents a topic as a `ReceivingSource`."""

    def __init__(
        self,
        address: Address,
        options: KafkaOptions,
        clock: Clock,
        *,
        pace: Pace | None = None,
        looks: bool = False,
    ) -> None:
        """`pace` is given where no number of messages ends it. One that only `looks` commits nothing."""
        self._address = address
        self._options = options
        self._clock = clock
        self._pace = pace
        self._looks = looks
        self._cluster = Cluster(address)
        self._reader = Reader(address)
        self._places = Places(self._cluster, address, options)
        self._uncommitted: Mapping[int, int] | None = None
        """Holds the offsets that could not be committed when they were to be."""
        self.origin = f"{address.shown.partition('://')[2]}/{address.topic}?group={address.group}"
        self.remembered_seconds = durations.seconds(options.dedup_window)

    async def check(self) -> None:
        with self._trouble():
            await self._places.see_group_is_free()
            await self._places.first(to_the_end=False)

    async def count(self) -> int | None:
        with self._trouble():
            place = await self._places.first(to_the_end=True)
        return place.left

    async def fields(self) -> Fields | None:
        """Return None: only a run takes messages."""
        return None

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the messages that come next, and commit nothing."""
        with self._trouble():
            found, _ = await self._up_to(await self._places.first(to_the_end=True), limit)
        records = [record for each in found for record in self._records(each)]
        return Page(records[:limit], None, end=True)

    async def receive(self, state: Any, limit: int) -> ReceivedKafkaMessages:
        most = min(limit, self._options.prefetch)
        with self._trouble():
            if self._looks:
                found, place = await self._up_to(await self._places.first(to_the_end=True), most)
                return self._received(found, place, end=True)
            if state is None:
                await self._places.see_group_is_free()
                place = await self._places.first(to_the_end=self._pace is None)
            else:
                place = await self._places.now(Place.of(state))
                if self._uncommitted is not None:
                    await self._commit(place.offsets)  # they are kept, like all that a caller goes on from
            if self._pace is None:
                found, place = await self._up_to(place, most)
                return self._received(found, place, end=place.left == 0, commit=self._commit)
            found, place = await self._as_they_come(place, most, self._pace)
            return self._received(found, place, commit=self._commit)

    async def acknowledge_kept(self, page: ReceivedPage) -> None:
        await self._commit(Place.of(page.state).offsets)

    async def place(self, named: NamedPlace, state: Any) -> FoundPlace:
        with self._trouble():
            await self._places.see_group_is_free()
            return await self._places.named(named, state, self.remembered_seconds)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return self._records(KafkaMessage.decoded(body))

    async def close(self) -> None:
        try:
            if self._uncommitted is not None and self._pace is not None and self._pace.alone:
                await self._commit(self._uncommitted)
            await self._reader.close()
        finally:
            await self._cluster.close()

    def _records(self, message: KafkaMessage) -> list[ReadRecord]:
        return records_of(message, self._address.topic, self._options)

    def _received(
        self, found: Sequence[KafkaMessage], place: Place, *, end: bool = False, commit: Commit | None = None
    ) -> ReceivedKafkaMessages:
        names = [identity_of(each, self._address.topic, self._options) for each in found]
        return ReceivedKafkaMessages(found, names, place, end=end, commit=commit)

    def _trouble(self) -> AbstractContextManager[None]:
        return trouble(self._address, self._cluster.troubles)

    async def _as_they_come(self, place: Place, most: int, pace: Pace) -> tuple[list[KafkaMessage], Place]:
        """Wait for a message, and then for those that come within `batch.wait` of it; where as many are there as a
        batch has, only for those that are there already."""
        place = await self._begun(place)
        found = await self._first_message()
        if found:
            found += await self._reader.take(most - 1, 0) if most > 1 else []
        ends = self._clock.monotonic() + pace.wait_seconds
        while found and (wanted := min(most, pace.size) - len(found)) > 0:
            left = ends - self._clock.monotonic()
            if left < _SHORTEST_SECONDS:
                break
            found += await self._reader.take(wanted, min(left, QUIET_SECONDS))
        return found, place.after(found)

    async def _first_message(self) -> list[KafkaMessage]:
        """Wait for a message, for `QUIET_SECONDS`."""
        ends = self._clock.monotonic() + QUIET_SECONDS
        while (left := ends - self._clock.monotonic()) > _SHORTEST_SECONDS:
            if found := await self._reader.take(1, left):
                return found
            if self._reader.outside:
                break
        await self._see_that_brokers_answer()
        return []

    async def _up_to(self, place: Place, most: int) -> tuple[list[KafkaMessage], Place]:
        """Take what stood in the topic when the run began, at most so many."""
        until = place.until or {}
        found: list[KafkaMessage] = []
        silent_since = self._clock.monotonic()
        while len(found) < most and place.left:
            place = await self._begun(place)
            given = await self._reader.take(most - len(found), _STEP_SECONDS)
            inside = [each for each in given if each.offset < until.get(each.partition, 0)]
            found += inside
            assert self._reader.at is not None
            place = place.at(self._reader.at)
            if inside:
                silent_since = self._clock.monotonic()
            elif place.left and not self._reader.outside:
                if found:
                    break
                await self._see_that_brokers_answer()
                if self._clock.monotonic() - silent_since > _SILENCE_SECONDS:
                    raise DependencyUnavailable(
                        f"Kafka at {self._address.shown} has {place.left:,} messages of the topic "
                        f"'{self._address.topic}', and gave none for {_SILENCE_SECONDS:g} s. Check that its partitions "
                        "have a leader."
                    )
        return found, place

    async def _begun(self, place: Place) -> Place:
        """Have the client read from a place. Where offsets of it are not there, it is the place that takes their
        stead."""
        if self._reader.outside:
            place = await self._places.moved(place, sorted(self._reader.outside))
        await self._reader.begin(place.unread)
        return place

    async def _see_that_brokers_answer(self) -> None:
        """Ask the brokers something, where the client says that it has lost them. Raises what they cannot be reached
        for."""
        if self._reader.troubles.last is not None:
            refusal = self._reader.troubles.refusal
            if refusal is not None:
                raise error_of(refusal, self._address, self._reader.troubles)
            await self._cluster.topic()
            self._reader.troubles.clear()

    async def _commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far Loom has come. Where that cannot be now, it is told later, and messages that come
        again are known."""
        try:
            with self._trouble():
                await self._cluster.commit(offsets)
        except LoomError as error:
            if self._uncommitted is None:
                log.warning("offsets are not committed to the group", group=self._address.group, reason=str(error))
            self._uncommitted = offsets
        else:
            self._uncommitted = None
