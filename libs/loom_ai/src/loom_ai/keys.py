"""Computes the identity of a model call: what is asked of whom, and how. Equal keys have equal answers."""

from __future__ import annotations

import hashlib

import orjson

from loom_ai.ports import ChatMessage, ModelCall

SEALED = "sealed:"
"""Begins the key of a call that holds sensitive values, and every key that follows from it. No store sees such a key,
but one that is made of it with a secret: `loom_ai.stores.sealed`."""


def key_of(call: ModelCall, of_run: str | None = None) -> str:
    """Return 64 hexadecimal digits (SHA-256), after `SEALED` where the call holds sensitive values. `of_run` makes it
    one run's own, so that no other run may reuse it; within the run, equal questions are still one."""
    identity: list[object] = [
        call.provider,
        call.base_url,
        call.model,
        {"temperature": call.temperature, "max_tokens": call.max_tokens},
        [_identity(message) for message in call.messages],
        None if call.schema is None else dict(call.schema),
        of_run,
    ]
    if call.again:
        identity.append(call.again)
    if call.extras:
        identity.append(call.extras.identity)
    if call.asking.identity:
        identity.append({"asking": call.asking.identity})
    if call.tools:
        specs = [[tool.name, tool.description, dict(tool.parameters)] for tool in call.tools]
        identity.append({"tools": specs, "closed": call.tools_closed})
    if call.embedding:
        identity.append({"embedding": call.dimensions})
    if call.sample:
        identity.append({"sample": call.sample})
    digest = hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return SEALED + digest if call.sealed else digest


def tool_result(call: ModelCall, run_id: str, record_id: str, number: int) -> str:
    """Return the key of what a tool returned: for the record of the run, in the conversation up to `call`, as the
    use of that number, from 0, in its answer."""
    key = key_of(call)
    return _following(key, ["tool result", key, run_id, record_id, number])


def cut_off(key: str, number: int) -> str:
    """Return the key of an answer to the question of that key that was cut off, because the budget bore no longer one.
    `number` counts such answers from 0."""
    return _following(key, ["cut off", key, number])


def last_answer_of(pipeline: str, record_id: str) -> str:
    """Return the key of the last good output of a record, whatever was asked for it."""
    return hashlib.sha256(orjson.dumps(["last answer", pipeline, record_id])).hexdigest()


def shared_by(key: str) -> str:
    """Return the key under which it is noted in which shared call the question of that key was answered."""
    return _following(key, ["shared", key])


def _following(key: str, identity: list[object]) -> str:
    digest = hashlib.sha256(orjson.dumps(identity)).hexdigest()
    return SEALED + digest if key.startswith(SEALED) else digest


def sizes_of(call: ModelCall, run_id: str) -> str:
    """Return the key under which it is noted how long the answers of a run to calls like this one were."""
    schema = None if call.schema is None else dict(call.schema)
    identity = ["sizes", run_id, call.provider, call.base_url, call.model, call.purpose, instructions_of(call), schema]
    return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()


def instructions_of(call: ModelCall) -> str | None:
    """Return the system prompt, by which kinds of calls are told apart whose answers have other lengths: those of
    evaluators. A transform's may differ from record to record, so that it tells nothing apart."""
    first = call.messages[0]
    return first.content if first.role == "system" and call.purpose in ("evaluate", "judge", "repair") else None


def _identity(message: ChatMessage) -> list[object]:
    """Return JSON values that are equal for equal turns. Attachments count by their contents, wherever these lie."""
    attached = [each.identity for each in message.attachments]
    return [message.role, message.content, *([attached] if attached else [])]
