"""Implements destinations that are files: a part per batch, joined into the file when the run is finished.

Beside the file `scores.csv` stands the folder `scores.csv.loom` with, for each run, its parts
(`<run>/<partition>-<slice>-<position>-<batch>.part`, gone once they are joined) and its manifest (`<run>.json`,
which stays: it is how a second `finalize` knows that it is one). What replays of a run have loaded stands by record in
`<run>.threads`. A storage says how this is written; a format, what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO, cast

from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError, DestinationError, StagedRowsLost
from loom_connectors.files.format import RowWriter, TypedWriter, WholeFileWriter
from loom_connectors.files.part_threads import PartThreads, Place
from loom_connectors.files.publication import Digesting, Manifest, Publication, digest_of
from loom_connectors.files.storage import ResultFile, StoredFile
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Guarantee, LoadBatch, LoadResult
from loom_connectors.sql.columns import kinds
from loom_connectors.sql.row_outcomes import left_out, result_of

_MERGING = ".merging"
"""Ends the name of what says that a run's rows are being added by writing the whole file anew."""


class FileDestination:
    """Loads into one file. Mode `replace` (the default) or `append`."""

    def __init__(
        self, config: LoadConfig, context: ConnectorContext, result: ResultFile, writer: RowWriter | WholeFileWriter
    ) -> None:
        _see_that_it_can_be_a_file(config)
        self._append = context.adds if context.sample or config.mode is None else config.mode == "append"
        self._result = result
        self._must_be_there = not (config.makes_its_place or context.sample)
        self._expected = list(dict.fromkeys([*context.record_key, *config.include, *kinds(context.output_schema, ())]))
        if isinstance(writer, TypedWriter):
            writer = writer.declared(context.output_schema, self._expected)
        self._writer = writer

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
        return self._result.file.shown

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await asyncio.to_thread(self._load, batch)

    async def see_staged(self, run_id: str, batches: int) -> None:
        await asyncio.to_thread(self._see_staged, run_id, batches)

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        if keep and not self._append:
            return await asyncio.to_thread(self._keep_what_is_there, run_id, complete=complete)
        return await asyncio.to_thread(self._finalize, run_id, complete=complete)

    async def drop(self, run_id: str) -> bool:
        placed = await asyncio.to_thread(self._finalize, run_id, complete=False)
        await asyncio.to_thread(self._remove_parts, run_id)
        return placed

    async def close(self) -> None:
        return

    def _check(self) -> None:
        self._result.check()
        with self._result.trouble():
            if self._must_be_there and self._result.file.state() is None:
                raise DestinationError(
                    f"There is no {self.location}, and `load.schema` lets none be made (`tables: freeze`). Make it, or "
                    "let Loom: `schema: {tables: evolve}`."
                )
            if self._append:
                self._writer.see_existing(self._result.file, self._expected)

    def _load(self, batch: LoadBatch) -> LoadResult:
        with self._result.trouble():
            file = self._result.file
            rows, misfits = self._writer.fit(file, batch.rows) if self._append else (batch.rows, [])
            content, failed = self._writer.part(rows)
            result = result_of(batch.rows, [*misfits, *failed])
            if self._manifest(batch.run_id).complete:
                return result
            name = f"{batch.partition}-{batch.slice}-{batch.position}-{batch.batch_id}.part"
            place = Place(batch.run_id, name)
            if batch.origin is None:
                self._result.put(place.name, content)
                return result
            with self._result.alone():
                threads = PartThreads(self._result, batch.origin, self._holds)
                lost = {row.record_id for row in result.failed}
                good = replace(batch, rows=[row for row in rows if row.record_id not in lost])
                rest, left = left_out(good, threads.loaded_elsewhere(good.threads, place))
                if batch.is_of_a_replay:
                    threads.enter(left, place)
                self._result.put(place.name, self._writer.part(rest.rows)[0])
        return result

    def _holds(self, place: Place) -> bool:
        """Whether a part is there, or its rows are in the file."""
        manifest = self._manifest(place.run_id)
        return manifest.complete or place.part in manifest.parts or self._result.beside(place.name).state() is not None

    def _see_staged(self, run_id: str, batches: int) -> None:
        """Compare the parts with the books. A batch of which no row was loaded may have put a part, too, or not; so
        where there are such batches, a few lost parts may go unnoticed."""
        with self._result.trouble():
            manifest = self._manifest(run_id)
            if manifest.complete or (manifest.publishing is not None and self._shows(manifest.publishing)):
                return
            names = {*self._result.names(".part", folder=run_id), *manifest.parts}
            found = len({tuple(name.split("-", 3)[:3]) for name in names})
            if found >= batches:
                return
            self._result.remove_folder(run_id)
        lost = batches - found
        raise StagedRowsLost(
            f"{counted(lost, 'part')} of {batches:,} beside {self.location} {'is' if lost == 1 else 'are'} gone: "
            "somebody removed rows that this run had loaded. The rest was dropped. Start a new run; answers that "
            "were paid for are taken from the journal."
        )

    def _keep_what_is_there(self, run_id: str, *, complete: bool) -> bool:
        with self._result.trouble():
            there = self._result.file.state() is not None
        if not there:
            return self._finalize(run_id, complete=complete)
        self._remove_parts(run_id)
        return False

    def _remove_parts(self, run_id: str) -> None:
        with self._result.trouble():
            self._result.remove_folder(run_id)

    def _finalize(self, run_id: str, *, complete: bool) -> bool:
        """Tell whether what was loaded is in the file."""
        with self._result.trouble():
            if complete:
                self._result.see_parts(run_id)
            begun = self._result.is_begun()
        if not begun and (self._append or not complete):
            return self._append  # nothing was ever loaded here, so there is nothing to add
        with self._result.trouble(), self._result.alone():
            self._settle()
            manifest = self._manifest(run_id)
            if manifest.publishing is not None and self._shows(manifest.publishing):
                manifest = manifest.published(manifest.publishing)
                self._keep(run_id, manifest)
            if not manifest.complete and (complete or self._append):
                manifest = self._publish(run_id, manifest, complete=complete)
            if manifest.complete:
                self._result.remove_folder(run_id)
            for name in manifest.parts:
                self._result.remove(Place(run_id, name).name)
            return manifest.complete or self._append

    def _publish(self, run_id: str, manifest: Manifest, *, complete: bool) -> Manifest:
        """Write the file anew beside its place, or what is to be added to it; tell the manifest what it will be; put it
        in place."""
        parts = [part for part in self._parts(run_id) if part.name not in set(manifest.parts)]
        if self._append and isinstance(self._writer, RowWriter):
            return self._add(run_id, manifest, parts, self._writer, complete=complete)
        new = f"{run_id}.new"
        with self._result.writing(new) as target:
            digesting = Digesting(target)
            if self._append and not isinstance(self._writer, RowWriter):
                self._writer.merged(parts, self._result.file, cast("BinaryIO", digesting))
            else:
                self._writer.replacement(parts, cast("BinaryIO", digesting))
        names = tuple(part.name for part in parts)
        news = Publication(size=digesting.size, digest=digesting.digest, parts=names, complete=complete)
        self._keep(run_id, manifest.model_copy(update={"publishing": news}))
        if self._append:
            self._result.put(f"{run_id}{_MERGING}", b"", durable=True)
        self._result.exchange(new)
        manifest = manifest.published(news)
        self._keep(run_id, manifest)
        if self._append:
            self._result.remove(f"{run_id}{_MERGING}")
        return manifest

    def _add(
        self, run_id: str, manifest: Manifest, parts: Sequence[StoredFile], writer: RowWriter, *, complete: bool
    ) -> Manifest:
        """Write what is to be added beside the file, tell the manifest where it will begin, add it."""
        addition = f"{run_id}.add"
        with self._result.writing(addition, durable=True) as target:
            writer.addition(parts, self._result.file, target)
        news = Publication(
            size=_size(self._result.beside(addition)),
            digest="",
            parts=tuple(part.name for part in parts),
            complete=complete,
            offset=_size(self._result.file),
        )
        self._keep(run_id, manifest.model_copy(update={"publishing": news}))
        self._settle()
        return self._manifest(run_id)

    def _settle(self) -> None:
        """Finish what a process began to add and did not live to finish, of whichever run."""
        for addition in self._result.names(".add"):
            run_id = addition.removesuffix(".add")
            manifest = self._manifest(run_id)
            news = manifest.publishing
            if news is not None and news.offset is not None:
                there = not news.size or self._result.append(addition, news.offset)
                self._keep(run_id, manifest.published(news) if there else Manifest(parts=manifest.parts))
            self._result.remove(addition)
        for merging in self._result.names(_MERGING):
            run_id = merging.removesuffix(_MERGING)
            manifest = self._manifest(run_id)
            news = manifest.publishing
            if news is not None and news.offset is None:
                self._keep(run_id, manifest.published(news) if self._shows(news) else Manifest(parts=manifest.parts))
            self._result.remove(merging)

    def _parts(self, run_id: str) -> list[StoredFile]:
        def place(name: str) -> tuple[int, ...]:
            return tuple(map(int, name.split("-", 3)[:3]))

        names = sorted(self._result.names(".part", folder=run_id), key=place)
        return [self._result.beside(Place(run_id, name).name) for name in names]

    def _shows(self, news: Publication) -> bool:
        """Tell whether the file was put in place: it begins with `news`, whatever other runs appended since."""
        file = self._result.file
        if news.offset is not None or file.state() is None or _size(file) < news.size:
            return False
        return digest_of(file, news.size) == news.digest

    def _manifest(self, run_id: str) -> Manifest:
        file = self._result.beside(f"{run_id}.json")
        if file.state() is None:
            return Manifest()
        with file.opened() as (stream, _):
            return Manifest.model_validate_json(stream.read())

    def _keep(self, run_id: str, manifest: Manifest) -> None:
        content = manifest.model_dump_json(exclude_defaults=True).encode()
        self._result.put(f"{run_id}.json", content, durable=True)


def _size(file: StoredFile) -> int:
    """Return the size in bytes; 0 where it is not there."""
    state = file.state()
    return 0 if state is None else state.size


def _see_that_it_can_be_a_file(config: LoadConfig) -> None:
    """Raise `ConfigurationError` for a mode or a name that a file cannot have."""
    if config.mode == "upsert":
        raise ConfigurationError(
            f"load.mode: found 'upsert'; a file ({config.destination}) has no keys to update by. Use `replace` or "
            "`append`, or a database."
        )
    named, _, _ = config.destination.partition("?" if "://" in config.destination else "\0")
    if set("*?") & set(named):
        raise ConfigurationError(f"load.destination: '{config.destination}' is a pattern; name one file.")
