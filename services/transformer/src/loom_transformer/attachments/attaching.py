"""Reads the attachments that a pipeline names, and holds them for as long as their question is being asked."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from loom_ai.attachments.contents import media_type_of, pages_of, seconds_of, size_of_image
from loom_ai.attachments.taken import LARGEST
from loom_common.domain.model_options.attachments import AttachmentConfig
from loom_common.domain.question.attachment import Attachment
from loom_common.domain.question.template import AskedAttachment, Question
from loom_common.errors import RecordError
from loom_transformer.attachments.memory import AttachmentMemory
from loom_transformer.attachments.places import AttachmentPlaces, name_of, scheme_in, shown

_WRONG = "attachment_of_another_kind"
_AUDIO_OF_GOOGLE = ("audio/flac", "audio/ogg")


class Attaching:
    """Reads the attachments of one transform's questions."""

    def __init__(
        self, places: AttachmentPlaces, memory: AttachmentMemory, folder: Path, protocols: Collection[str]
    ) -> None:
        """`protocols` are those of the models that may be asked."""
        self._places = places
        self._memory = memory
        self._folder = folder
        self._protocols = protocols

    @asynccontextmanager
    async def attached(self, question: Question) -> AsyncIterator[Question]:
        """Yield the question with the contents of its attachments. Raises as `AttachmentPlaces.read` does."""
        if not question.attachments:
            yield question
            return
        async with self._memory.held(sum(each.config.max_bytes for each in question.attachments)):
            read = [await self._read(each) for each in question.attachments]
            size = sum(len(each.data) for each in read)
            most = min(LARGEST[protocol] for protocol in self._protocols)
            if size > most:
                words = f"The attachments have {size:,} bytes together, and a question may have {most:,}"
                raise RecordError(words, code="attachment_too_large")
            yield replace(question, attached=tuple(read))

    async def _read(self, asked: AskedAttachment) -> Attachment:
        config, place = asked.config, asked.place
        if config.url == "pass_on" and scheme_in(place) in ("http", "https"):
            return self._passed_on(config, place)
        data = await self._places.read(place, config, self._folder)
        found = media_type_of(data)
        if found is None or found[0] != config.kind:
            what = "nothing that models take" if found is None else f"{found[1]} ({found[0]})"
            raise RecordError(f"{shown(place)} is no {config.kind}: by its content it is {what}", code=_WRONG)
        media_type = found[1]
        if media_type in _AUDIO_OF_GOOGLE and set(self._protocols) != {"google"}:
            words = f"{shown(place)} is {media_type}, which only Google takes: give WAV or MP3"
            raise RecordError(words, code=_WRONG)
        width, height = size_of_image(data, media_type) if config.kind == "image" else (0, 0)
        return Attachment(
            kind=config.kind,
            media_type=media_type,
            digest=hashlib.sha256(data).hexdigest(),
            data=data,
            detail=config.detail,
            name=name_of(place),
            width=width,
            height=height,
            pages=pages_of(data) if config.kind == "document" else 0,
            seconds=seconds_of(data, media_type) if config.kind == "audio" else 0.0,
        )

    def _passed_on(self, config: AttachmentConfig, place: str) -> Attachment:
        usual = {"image": "image/jpeg", "document": "application/pdf", "audio": "audio/mp3"}[config.kind]
        media_type = mimetypes.guess_type(urlsplit(place).path)[0] or usual
        return Attachment(config.kind, media_type, "", url=place, detail=config.detail, name=name_of(place))
