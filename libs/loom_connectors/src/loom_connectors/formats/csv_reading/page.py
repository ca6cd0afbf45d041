"""Reads the lines of a page of CSV: makes the records of those that can be divided together, and gives the others to
Python's reader."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from loom_connectors.files.text_lines import Lines
from loom_connectors.formats.csv_reading.plain import Divided, PlainLines
from loom_connectors.ports.source import ReadRecord


class PageLines:
    """Stands between the lines of a file and Python's reader. It knows nothing of that reader, which holds it: neither
    would be freed before the next search for garbage, nor any record."""

    def __init__(
        self,
        lines: Lines,
        plain: PlainLines,
        records: list[ReadRecord],
        limit: int,
        *,
        longest: int,
        made: Callable[[int, Divided], list[ReadRecord]],
    ) -> None:
        """`records` is what records are appended to, up to `limit`, each made by `made` of the line at which the first
        begins. `longest` is the most characters of a field."""
        self._lines = lines
        self._plain = plain
        self._records = records
        self._limit = limit
        self._longest = longest
        self._made = made
        self._taken = 0
        self.before = lines.number
        """The number of lines before those that the reader takes, and between them."""
        self.line = lines.number + 1
        """The line at which the next record begins. Who has a record of the reader moves it on."""
        self.safe = 0
        """A record of so many lines can have no field that is too long, nor is anything wrong with its lines."""

    def given(self) -> Iterator[Sequence[str]]:
        """Give the reader its lines, some together. It asks for more when it has taken all before."""
        for read in self._lines.read(self._wanted):
            rest = read
            while rest:
                rest = yield from self._some(rest)

    def _wanted(self) -> int:
        self._lines.pass_to(self.line - 1)
        return self._limit - len(self._records)  # a record has a line at least

    def _some(self, read: Sequence[bytes]) -> Generator[Sequence[str], None, Sequence[bytes]]:
        """Make the records of the first of these lines, or give lines to the reader. Returns those that are left."""
        count = len(read)
        if self.line <= self.before + self._taken:  # amid a record, which the reader has begun
            count = self._plain.through_quotes(read)
        elif (found := self._plain.divided(read)) is not None:
            self._lines.give(read[: found.lines])
            self._records.extend(self._made(self.line, found))
            self.line += found.lines
            self.before += found.lines
            read = read[found.lines :]
        if read:
            for texts in self._lines.texts(read[:count]):
                self.safe = self._longest // self._lines.longest if self._lines.trouble is None else 0
                self._taken += len(texts)
                yield texts
        return read[count:]
