"""Notes which records somebody gives, while they are stored, so that what they come to can be told in their order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from loom_api.running.known_records import Duplicates
from loom_common.contracts.v1 import RunAccepted
from loom_common.domain.sealing.fields import SensitiveFields
from loom_connectors.ports.source import ReadRecord
from loom_coordinator.db.outputs.record_outputs import MOST
from loom_extractor.identity import identified


@dataclass(frozen=True, slots=True)
class RunOver:
    """Describes a run over records that were given."""

    accepted: RunAccepted | None
    """Is None where no run was begun, because earlier runs have all records."""
    duplicates: Duplicates
    """Counts the records that earlier runs have."""
    record_ids: Sequence[str] | None
    """The ids of the records in their order; None where they are more than a run keeps the outputs of."""


class GivenRecords:
    """Passes records on, and notes the ids of the first."""

    def __init__(
        self, records: AsyncGenerator[ReadRecord, None], keys: Sequence[str], sensitive: SensitiveFields
    ) -> None:
        self._sensitive = sensitive
        self._records = records
        self._keys = keys
        self._ids: list[str] = []
        self._number = 0

    async def read(self) -> AsyncGenerator[ReadRecord, None]:
        """Yield the records. Raises what they raise."""
        async with aclosing(self._records) as records:
            async for record in records:
                self._number += 1
                if self._number <= MOST:
                    at = ReadRecord(f"record {self._number}", record.data, record.error)
                    self._ids.append(identified(at, self._keys, sensitive=self._sensitive).id)
                yield record

    @property
    def any(self) -> bool:
        """Tell whether a record was passed on."""
        return self._number > 0

    @property
    def record_ids(self) -> Sequence[str] | None:
        """Return the ids of the records that were passed on; None where they are too many."""
        return self._ids if self._number <= MOST else None
