"""Destinations that are files: a part per batch, joined into the file when the run is finished.

A link is followed: what is written is the file it leads to. Beside the file `scores.csv` stands the folder
`scores.csv.loom` with, for each run, its parts
(`<run>/<partition>-<slice>-<position>-<batch>.part`, gone once they are joined) and its manifest (`<run>.json`,
which stays: it is how a second `finalize` knows that it is one). What replays of a run have loaded stands by record in
`<run>.threads`."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydantic import BaseModel, ConfigDict

from loom_common.domain.definition.pipeline import LoadConfig
from loom_common.domain.values.destination_names import parts_folder, sample_file
from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.ports import ConnectorContext, FailedRow, Guarantee, LoadBatch, LoadResult, Row
from loom_connectors.sql.columns import kinds
from loom_connectors.sql.row_outcomes import left_out, result_of
from loom_connectors.storage.append import added
from loom_connectors.storage.local import file_trouble, followed, put_in_place, resolved, see_that_it_can_be_written
from loom_connectors.storage.part_threads import PartThreads, Place


class PartFormat(Protocol):
    """How rows are written."""

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        """The rows of one batch, the same bytes for the same rows; and those that cannot be written."""
        ...

    def replacement(self, pieces: Sequence[Path], target: BinaryIO) -> None:
        """Write a file of the rows of all parts, in order, in constant memory."""
        ...

    def addition(self, pieces: Sequence[Path], existing: Path, target: BinaryIO) -> None:
        """Write what is to be added to `existing`, which may be missing, in constant memory. Raises `DestinationError`
        where the parts' rows do not fit it."""
        ...

    def see_existing(self, path: Path, columns: Sequence[str]) -> None:
        """See that rows with `columns` (those that are known beforehand) can be added. Raises `DestinationError`."""
        ...

    def fit(self, path: Path, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        """The rows that can be added to the file, and those that cannot. Raises `DestinationError` where all of them
        have a column that it lacks."""
        ...


class Publication(BaseModel):
    """A new state of the file that is about to be shown, or was just shown."""

    model_config = ConfigDict(frozen=True)

    size: int
    digest: str
    parts: tuple[str, ...]
    complete: bool
    offset: int | None = None
    """Where rows are added: at which byte. None where the file is replaced."""


class Manifest(BaseModel):
    """What of a run is in the file."""

    model_config = ConfigDict(frozen=True)

    complete: bool = False
    parts: tuple[str, ...] = ()
    """Names of the parts that are in the file, of a run that is not complete."""
    publishing: Publication | None = None
    """Set before the file is put in place and resolved after it: whether it happened, the file itself tells."""

    def published(self, news: Publication) -> Manifest:
        """The manifest once `news` is shown."""
        return Manifest(complete=news.complete, parts=() if news.complete else (*self.parts, *news.parts))


class FileDestination:
    """One file. Mode `replace` (the default) or `append`."""

    def __init__(self, config: LoadConfig, surroundings: ConnectorContext, form: PartFormat) -> None:
        if config.mode == "upsert":
            raise ConfigurationError(
                f"load.mode: found 'upsert'; a file ({config.destination}) has no keys to update by. Use `replace` or "
                "`append`, or a database."
            )
        if set("*?") & set(config.destination):
            raise ConfigurationError(f"load.destination: '{config.destination}' is a pattern; name one file.")
        path = resolved(surroundings.credentials.expand(config.destination), surroundings.folder)
        self._path = followed(path.with_name(sample_file(path.name)) if surroundings.sample else path)
        self._append = surroundings.adds if surroundings.sample or config.mode is None else config.mode == "append"
        self._form = form
        self._folder = self._path.with_name(parts_folder(self._path.name))
        self._expected = list(
            dict.fromkeys([*surroundings.record_key, *config.include, *kinds(surroundings.output_schema, ())])
        )

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.OBJECT

    @property
    def effect(self) -> str:
        if self._append:
            return "mode append: every run adds its rows to the file"
        return "mode replace: a run that succeeds puts its rows in the place of the file"

    @property
    def stages(self) -> bool:
        return True

    @property
    def location(self) -> str:
        return str(self._path)

    async def check(self) -> None:
        await asyncio.to_thread(see_that_it_can_be_written, self._path)
        if self._append:
            with self._trouble():
                await asyncio.to_thread(self._form.see_existing, self._path, self._expected)

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await asyncio.to_thread(self._load, batch)

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        if keep and not self._append and self._path.exists():
            await asyncio.to_thread(self._remove_parts, run_id)
            return False
        return await asyncio.to_thread(self._finalize, run_id, complete=complete)

    async def drop(self, run_id: str) -> bool:
        placed = await asyncio.to_thread(self._finalize, run_id, complete=False)
        await asyncio.to_thread(self._remove_parts, run_id)
        return placed

    async def close(self) -> None:
        return

    def _load(self, batch: LoadBatch) -> LoadResult:
        with self._trouble():
            rows, misfits = self._form.fit(self._path, batch.rows) if self._append else (batch.rows, [])
            content, failed = self._form.part(rows)
            result = result_of(batch.rows, [*misfits, *failed])
            if self._manifest(batch.run_id).complete:
                return result
            self._make_folder()
            folder = self._folder / batch.run_id
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{batch.partition}-{batch.slice}-{batch.position}-{batch.batch_id}.part"
            if batch.origin is None:
                self._write_part(folder / name, content)
                return result
            with self._alone():
                place, threads = Place(batch.run_id, name), PartThreads(self._folder, batch.origin, self._holds)
                lost = {row.record_id for row in result.failed}
                good = replace(batch, rows=[row for row in rows if row.record_id not in lost])
                rest, left = left_out(good, threads.loaded_elsewhere(good.threads, place))
                if batch.is_of_a_replay:
                    threads.enter(left, place)
                self._write_part(folder / name, self._form.part(rest.rows)[0])
        return result

    def _write_part(self, part: Path, content: bytes) -> None:
        temporary = part.with_name(f"{part.name}.{os.getpid()}-{threading.get_ident()}")
        temporary.write_bytes(content)
        temporary.replace(part)

    def _holds(self, place: Place) -> bool:
        """Whether a part is there, or its rows are in the file."""
        manifest = self._manifest(place.run_id)
        return manifest.complete or place.part in manifest.parts or (self._folder / place.run_id / place.part).exists()

    def _remove_parts(self, run_id: str) -> None:
        with self._trouble():
            shutil.rmtree(self._folder / run_id, ignore_errors=True)

    def _finalize(self, run_id: str, *, complete: bool) -> bool:
        """Whether what was loaded is in the file."""
        if not self._folder.exists() and (self._append or not complete):
            return self._append  # nothing was ever loaded here, so there is nothing to add
        with self._trouble(), self._alone():
            self._settle()
            manifest = self._manifest(run_id)
            if manifest.publishing is not None and self._shows(manifest.publishing):
                manifest = manifest.published(manifest.publishing)
                self._keep(run_id, manifest)
            if not manifest.complete and (complete or self._append):
                manifest = self._publish(run_id, manifest, complete=complete)
            if manifest.complete:
                shutil.rmtree(self._folder / run_id, ignore_errors=True)
            for name in manifest.parts:
                (self._folder / run_id / name).unlink(missing_ok=True)
            return manifest.complete or self._append

    def _publish(self, run_id: str, manifest: Manifest, *, complete: bool) -> Manifest:
        """Write the file anew beside its place, tell the manifest what it will be, put it in place."""
        parts = [part for part in self._parts(run_id) if part.name not in set(manifest.parts)]
        if self._append:
            return self._add(run_id, manifest, parts, complete=complete)
        temporary = self._folder / f"{run_id}.new"
        with temporary.open("wb") as target:
            self._form.replacement(parts, target)
        size = temporary.stat().st_size
        news = Publication(
            size=size, digest=_digest(temporary, size), parts=tuple(part.name for part in parts), complete=complete
        )
        self._keep(run_id, manifest.model_copy(update={"publishing": news}))
        put_in_place(temporary, self._path)
        manifest = manifest.published(news)
        self._keep(run_id, manifest)
        return manifest

    def _add(self, run_id: str, manifest: Manifest, parts: Sequence[Path], *, complete: bool) -> Manifest:
        """Write what is to be added beside the file, tell the manifest where it will begin, add it."""
        addition = self._folder / f"{run_id}.add"
        with addition.open("wb") as target:
            self._form.addition(parts, self._path, target)
            target.flush()
            os.fsync(target.fileno())
        news = Publication(
            size=addition.stat().st_size,
            digest="",
            parts=tuple(part.name for part in parts),
            complete=complete,
            offset=self._path.stat().st_size if self._path.exists() else 0,
        )
        self._keep(run_id, manifest.model_copy(update={"publishing": news}))
        self._settle()
        return self._manifest(run_id)

    def _settle(self) -> None:
        """Finish what a process began to add and did not live to finish, of whichever run."""
        for addition in self._folder.glob("*.add"):
            run_id = addition.stem
            manifest = self._manifest(run_id)
            news = manifest.publishing
            if news is not None and news.offset is not None:
                there = not news.size or added(self._path, addition, news.offset)
                self._keep(run_id, manifest.published(news) if there else Manifest(parts=manifest.parts))
            addition.unlink()

    def _parts(self, run_id: str) -> list[Path]:
        def place(part: Path) -> tuple[int, ...]:
            return tuple(map(int, part.name.split("-", 3)[:3]))

        return sorted((self._folder / run_id).glob("*.part"), key=place)

    def _shows(self, news: Publication) -> bool:
        """Whether the file was put in place: it begins with `news`, whatever other runs appended since."""
        if news.offset is not None or not self._path.exists() or self._path.stat().st_size < news.size:
            return False
        return _digest(self._path, news.size) == news.digest

    def _manifest(self, run_id: str) -> Manifest:
        path = self._folder / f"{run_id}.json"
        return Manifest.model_validate_json(path.read_bytes()) if path.exists() else Manifest()

    def _keep(self, run_id: str, manifest: Manifest) -> None:
        temporary = self._folder / f"{run_id}.json.new"
        with temporary.open("w", encoding="utf-8") as target:
            target.write(manifest.model_dump_json(exclude_defaults=True))
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(self._folder / f"{run_id}.json")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One finalize at a time: two that read the old file at once would each lose the other's rows."""
        self._make_folder()
        with (self._folder / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_folder(self) -> None:
        """Parts of a file that its owner alone may read are for nobody else either."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and not self._path.stat().st_mode & 0o077:
            self._folder.chmod(0o700)

    def _trouble(self) -> Any:
        remedy = "Correct load.destination, or make the folder."
        return file_trouble(self._path, DestinationError, remedy)


def _digest(path: Path, size: int) -> str:
    """Hash of the first `size` bytes."""
    digest, left = hashlib.blake2b(digest_size=20), size
    with path.open("rb") as stream:
        while left and (chunk := stream.read(min(left, 1024 * 1024))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
