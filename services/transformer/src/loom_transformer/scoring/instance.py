"""Runs one instance of a scorer in a process of its own. A worker starts it: see `processes.py`.

It reads requests from its standard input and writes an answer to each to its standard output, until the input ends.
What the scorer itself prints goes to the standard error."""

from __future__ import annotations

import inspect
import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from loom_common.domain.model_options.scorers import Classifier
from loom_common.errors import PermanentError, RecordError, TransientError, UserCodeError
from loom_transformer.scoring.answers import at_fault, one_for_each, output_of
from loom_transformer.scoring.frames import LENGTH, framed, read
from loom_transformer.scoring.loading import load_scorer

ScoreAll = Callable[[list[str]], Any]


def main() -> None:
    """Load the scorer that the first request names, then score what the others hold."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are the worker's, which ends its processes itself
        signal.signal(number, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True, name="loom-requests").start()
    first = waiting.get()
    try:
        score = _loaded(first)
    except UserCodeError as error:
        _write(answers, {"failed": str(error)})
        return
    _write(answers, {"ready": True})
    while True:
        _write(answers, _answer(waiting.get()["texts"], first["name"], score))


def _read(requests: BinaryIO, waiting: queue.SimpleQueue[Any]) -> None:
    """Read requests in a thread, so that the process ends with its worker even while the scorer computes."""
    while len(head := requests.read(LENGTH.size)) == LENGTH.size:
        data = requests.read(LENGTH.unpack(head)[0])
        waiting.put(read(data))
    os._exit(0)


def _write(answers: BinaryIO, document: Any) -> None:
    answers.write(framed(document))
    answers.flush()


def _loaded(first: Any) -> ScoreAll:
    """Load the scorer and warm it up. Raises `UserCodeError`."""
    name = first["name"]
    classifier = None
    if first["classifier"] is not None:
        labels, into = first["classifier"]
        classifier = Classifier(None if labels is None else tuple(labels), into)
    scorer = load_scorer(name, Path(first["folder"]), classifier)
    score = _singly(scorer) if callable(scorer) else _together(scorer.score)
    if (text := first["warm_up"]) is not None:
        answer = _answer([text], name, score)
        error = answer if "error" in answer else answer["outputs"][0]
        if "error" in error:
            raise UserCodeError(f"{name} cannot score the text of `transform.warm_up`: {error['error']}")
    return score


def _singly(score: Callable[[str], Any]) -> ScoreAll:
    def score_all(texts: list[str]) -> list[Any]:
        return [_caught(score, text) for text in texts]

    return score_all


def _caught(score: Callable[[str], Any], text: str) -> Any:
    try:
        return score(text)
    except BaseException as error:  # noqa: BLE001 - the scorer may raise anything
        return at_fault(error, getattr(score, "__name__", type(score).__name__))


def _together(score: ScoreAll) -> ScoreAll:
    if not inspect.iscoroutinefunction(score):
        return score
    import asyncio  # most scorers do without it

    loop = asyncio.new_event_loop()
    return lambda texts: loop.run_until_complete(score(texts))


def _answer(texts: list[str], name: str, score: ScoreAll) -> dict[str, Any]:
    try:
        found = one_for_each(score(texts), texts, name)
    except BaseException as error:  # noqa: BLE001 - the scorer may raise anything
        try:
            found = at_fault(error, name)
        except (TransientError, PermanentError) as of_more:
            return {"error": str(of_more), "code": "", "permanent": isinstance(of_more, PermanentError)}
    if isinstance(found, RecordError):
        return {"error": str(found), "code": found.code}
    return {"outputs": [_output(each, name) for each in found]}


def _output(said: Any, name: str) -> dict[str, Any]:
    try:
        if isinstance(said, RecordError):
            raise said
        return {"output": output_of(said, name, None)}
    except RecordError as error:
        return {"error": str(error), "code": error.code}


if __name__ == "__main__":
    main()
