"""Seals and opens what belongs to one pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from loom_common.domain.json_values.exact_json import dumps, loads
from loom_common.domain.sealing.fields import SensitiveFields, every_text
from loom_common.domain.sealing.redaction import Redactor
from loom_common.domain.sealing.tokens import PREFIX, is_sealed
from loom_common.errors import PermanentError
from loom_common.sealing.keys import Keys

_EDIT = "edit"


class Sealer:
    """Seals the sensitive values of a pipeline's records. Sealing and opening are each other's reverse, whatever the
    records hold: a text of the source that looks sealed is sealed, too."""

    def __init__(self, pipeline: str, fields: SensitiveFields, keys: Keys) -> None:
        self.fields = fields
        self._pipeline = pipeline
        self._keys = keys

    def value(self, path: str, value: Any) -> str:
        """Seal any value of JSON."""
        return self._keys.seal(dumps(value), self._context(path))

    def opened_value(self, path: str, value: Any) -> Any:
        """Open a value where it is sealed. Raises `PermanentError`."""
        if not is_sealed(value):
            return value
        return loads(self._keys.open(value, self._context(path)).decode())

    def sealed(self, data: Mapping[str, Any], repeated: Redactor | None = None) -> dict[str, Any]:
        """Seal a record's sensitive fields, and texts in other fields that repeat values."""

        def other(path: str, text: str) -> str:
            quotes = is_sealed(text) or (repeated is not None and repeated.repeats(text))
            return self.value(path, text) if quotes else text

        return self.fields.changed(data, self.value, other)

    def whole(self, data: Any) -> Any:
        """Seal every text and number."""
        return every_text(data, self.value)

    def opened(self, data: Any) -> Any:
        """Open every sealed value in what was sealed. Raises `PermanentError`."""
        return every_text(data, self.opened_value)

    def sealed_edits(self, edits: Mapping[str, Any]) -> dict[str, Any]:
        """Seal those edits of a replay that are of sensitive fields. What is sealed as an edit already stays as it is:
        no other sealed value is taken for one, so that nobody can have it opened."""
        return {name: self._as_edit(name, each) if self.fields.concern(name) else each for name, each in edits.items()}

    def opened_edits(self, edits: Mapping[str, Any]) -> dict[str, Any]:
        """Return the edits with plain values. Raises `PermanentError`."""
        return {
            name: self.opened_value(f"{_EDIT}/{name}", each) if self.fields.concern(name) else each
            for name, each in edits.items()
        }

    def _as_edit(self, name: str, value: Any) -> Any:
        path = f"{_EDIT}/{name}"
        if is_sealed(value):
            with suppress(PermanentError):
                self.opened_value(path, value)
                return value
        return self.value(path, value)

    def comparable(self, data: Any) -> Any:
        """Return what was sealed with equal texts for equal values, from which nobody can learn these. Raises
        `PermanentError`."""
        return every_text(data, self._compared)

    def _compared(self, path: str, value: Any) -> Any:
        if not is_sealed(value):
            return value
        text = self._keys.open(value, self._context(path)).decode()
        return PREFIX + self._keys.indexes(f"{self._context(path)}/{text}")[0]

    def _context(self, path: str) -> str:
        return f"{self._pipeline}/{path}"
