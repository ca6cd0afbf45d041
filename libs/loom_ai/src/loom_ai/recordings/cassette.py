"""Reads and writes a file of recorded answers. It is JSON that people can read and compare line by line, and that lies
beside the tests in version control."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loom_ai.answer_notes import read_beside, written_beside
from loom_ai.keys import key_of
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall
from loom_common.errors import ConfigurationError, RecordError

VERSION = 1
_ABOUT = "Answers of models, recorded by `loom test --update`. `loom test` replays them and calls no model."
Redact = Callable[[str], str]
"""Removes from a text what must not be written down."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Represents one question with its answer, or with the endpoint's refusal of the question."""

    key: str
    provider: str
    model: str
    purpose: str
    question: Sequence[tuple[str, str]]
    """The role and the text of each message, redacted. For people: a replay does not read it."""
    answer: ModelAnswer | None
    refusal: Mapping[str, Any] | None = None
    """The message, code and details of the error, where the endpoint refused the question."""


@dataclass(slots=True)
class Cassette:
    """Holds the recordings of one file by their keys, and which of them were used."""

    path: Path
    recordings: dict[str, Recording] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path) -> Cassette:
        """Read the file; without one there are no recordings. Raises `ConfigurationError` where it cannot be read."""
        if not path.exists():
            return cls(path)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["version"] != VERSION:
                raise ConfigurationError(
                    f"{path}: it has version {document['version']}, and this Loom reads version {VERSION}. Remove it, "
                    "and record it again with `loom test --update`."
                )
            recordings = [_read(entry) for entry in document["answers"]]
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{path} is no file of recorded answers ({type(error).__name__}: {error}). Restore it from version "
                "control, or remove it and record it again with `loom test --update`."
            ) from error
        return cls(path, {each.key: each for each in recordings})

    def keep(self, recording: Recording) -> None:
        """Put a recording in the place of the one with its key."""
        self.recordings[recording.key] = recording
        self.used.add(recording.key)

    def save(self, *, unused: bool) -> bool:
        """Write the file where it changes, whole or not at all, with or without the recordings that were not used.
        Returns whether it was written. Raises `ConfigurationError` where it cannot be."""
        kept = [each for each in self.recordings.values() if unused or each.key in self.used]
        # By their questions: a file then has the same order whichever call was answered first.
        ordered = sorted(kept, key=lambda each: (each.model, each.purpose, each.question, each.key))
        document = {"version": VERSION, "about": _ABOUT, "answers": [_written(each) for each in ordered]}
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        try:
            before = self.path.read_text(encoding="utf-8") if self.path.exists() else None
            if text == before or (before is None and not ordered):
                return False
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_name(f".{self.path.name}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(self.path)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.") from error
        return True


def recording_key(call: ModelCall) -> str:
    """Return the key of a question in a cassette: the key of the journal, without the endpoint's address, so that what
    was recorded through a proxy or at a server of one's own is found everywhere."""
    return key_of(replace(call, base_url="", sealed=False))


def recorded(call: ModelCall, answer: ModelAnswer | RecordError, redact: Redact) -> Recording:
    """Return the recording of a question and its answer, or its refusal, without what `redact` removes."""
    refusal = None
    if isinstance(answer, RecordError):
        details = json.loads(redact(json.dumps(answer.details, default=str)))
        refusal = {"message": redact(str(answer)), "code": answer.code, "details": details}
    return Recording(
        key=recording_key(call),
        provider=call.served_by or call.provider,
        model=call.model,
        purpose=call.purpose,
        question=tuple((message.role, redact(_shown(message))) for message in call.messages),
        answer=None
        if isinstance(answer, RecordError)
        else replace(
            answer,
            text=redact(answer.text),
            latency=round(answer.latency, 3),
            noted=tuple(redact(each) for each in answer.noted),
        ),
        refusal=refusal,
    )


def _shown(message: ChatMessage) -> str:
    return "\n".join([*(each.told for each in message.attachments), message.content])


def _written(recording: Recording) -> dict[str, Any]:
    document: dict[str, Any] = {
        "key": recording.key,
        "provider": recording.provider,
        "model": recording.model,
        "purpose": recording.purpose,
        "question": [{role: _lines(text)} for role, text in recording.question],
    }
    if recording.refusal is not None:
        return document | {"refusal": dict(recording.refusal)}
    answer = recording.answer
    assert answer is not None
    document |= {
        "answer": _lines(answer.text),
        "finish_reason": answer.finish_reason,
        "answered_by": answer.model,
        "tokens": {"in": answer.tokens_in, "cached": answer.tokens_cached, "out": answer.tokens_out},
        "seconds": answer.latency,
    }
    if answer.estimated:
        document["estimated"] = True
    if answer.noted:
        document["noted"] = list(answer.noted)
    document |= written_beside(answer)
    return document


def _read(document: Mapping[str, Any]) -> Recording:
    question = tuple((role, _text(lines)) for turn in document["question"] for role, lines in turn.items())
    answer = None
    if "refusal" not in document:
        tokens = document["tokens"]
        answer = ModelAnswer(
            text=_text(document["answer"]),
            finish_reason=document["finish_reason"],
            model=document["answered_by"],
            tokens_in=int(tokens["in"]),
            tokens_cached=int(tokens["cached"]),
            tokens_out=int(tokens["out"]),
            latency=float(document["seconds"]),
            estimated=bool(document.get("estimated", False)),
            noted=tuple(document.get("noted", ())),
            **read_beside(document),
        )
    return Recording(
        key=str(document["key"]),
        provider=document["provider"],
        model=document["model"],
        purpose=document["purpose"],
        question=question,
        answer=answer,
        refusal=document.get("refusal"),
    )


def _lines(text: str) -> str | list[str]:
    """Write a text of several lines as a list of them, so that a change shows line by line."""
    return text.split("\n") if "\n" in text else text


def _text(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "\n".join(lines)
