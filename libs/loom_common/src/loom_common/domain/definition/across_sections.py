"""Finds what does not fit together in different sections of a pipeline file, and the models that it names. It does no
I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from loom_common.domain.definition.evaluator_kinds import asks_a_model
from loom_common.domain.definition.failures.fallback import FallbackConfig
from loom_common.domain.definition.transforms.cascade import CheapTier
from loom_common.domain.definition.transforms.kinds import asks_models
from loom_common.domain.definition.transforms.step_fields import group_fields, made_by, number_fields
from loom_common.domain.model_options.execution import ExecutionConfig
from loom_common.domain.model_options.question_parts import embeddings_named
from loom_common.domain.model_options.several_calls import judges_named
from loom_common.domain.schema.output import TEXT, is_json_schema
from loom_common.domain.section import Mistake, items, mistake, said
from loom_common.domain.steps.asking import RESOLVE
from loom_common.domain.steps.joining import JOIN, joined_fields
from loom_common.domain.steps.nodes import GATHER
from loom_common.domain.steps.operators import DEDUPE, GROUP, OPENING, by_fields, number_field, part_field
from loom_common.domain.steps.resolving import listed, resolve_of, with_blocks
from loom_common.domain.steps.views import definitions_by_step

Place = tuple[str | int, ...]
_STEPS: Place = ("transform", "steps")


def mistakes_between(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield what does not fit together in different sections of a definition."""
    written = {**written, "transform": with_blocks(said(written, "transform"))}
    yield from _overwriting(written)
    yield from _updating_by_no_key(written)
    yield from _losing_what_was_read(written)
    yield from _known_by_no_key(written)
    yield from _waiting_in_clear(written)
    yield from _derived_rows(written)
    yield from _compared_in_clear(written)
    yield from _joined_rows(written)
    yield from _grouped_rows(written)


def _overwriting(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield the output fields of an `ai` transform that have the name of a key field or of a field in
    `load.include`."""
    extract, load = said(written, "extract"), said(written, "load")
    key = said(extract, "key")
    keys = [key] if isinstance(key, str) else key if isinstance(key, list) else []
    included = items(load, "include")
    for place, definition in definitions_by_step(written):
        transform = said(definition, "transform")
        for at, name in _fields(said(transform, "output")) if said(transform, "type") == "ai" else ():
            if name in keys:
                expected = (
                    f"another name: it would overwrite the record's key `{name}`, which is loaded with the output"
                )
                yield mistake((*place, *at), "overwrites_key", expected, name)
            elif name in included:
                expected = f"another name: it would overwrite the input's field `{name}`, which `load.include` names"
                yield mistake((*place, *at), "overwrites_included", expected, name)


def _fields(output: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if output == TEXT:
        yield ("output",), TEXT
    elif isinstance(output, Mapping):
        whole = is_json_schema(output) and isinstance(output.get("properties"), Mapping)
        where = ("output", "properties") if whole else ("output",)
        for name in output["properties"] if whole else output:
            yield (*where, str(name)), str(name)


def _updating_by_no_key(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Demand a key of rows that are updated: of the load itself, or the one that identifies a record."""
    load = said(written, "load")
    known = said(said(written, "extract"), "key") or group_fields(said(written, "transform"))
    if said(load, "mode") == "upsert" and not said(load, "key") and not known:
        yield mistake(("load",), "missing_for_type", "`key`, here or in `extract`, which mode upsert needs", load)


def _losing_what_was_read(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Demand that incremental extraction adds to its destination: a replacement would hold the newest records alone."""
    load = said(written, "load")
    incremental = said(said(written, "extract"), "incremental")
    if incremental is None or load is None or said(load, "mode") in ("append", "upsert"):
        return
    why = "because incremental extraction adds to what earlier runs have loaded"
    if said(load, "mode") is None:
        yield mistake(("load",), "missing_for_type", f"`mode: append` or `mode: upsert`, {why}", load)
    else:
        yield mistake(("load", "mode"), "strange_for_type", f"`append` or `upsert`, {why}", said(load, "mode"))


def _known_by_no_key(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Demand a key by which a record is known that comes again."""
    ingest = said(written, "ingest")
    ingest = {"window": ingest} if isinstance(ingest, str) else ingest
    if ingest is not None and not said(ingest, "key") and not said(said(written, "extract"), "key"):
        yield mistake(
            ("ingest",), "missing_for_type", "`key`, here or in `extract`, by which a record is known again", ingest
        )


def _waiting_in_clear(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Demand that questions with sensitive fields are asked directly: those that wait for a batch are not encrypted."""
    if not said(written, "sensitive"):
        return
    for section in ("transform", "evaluate"):
        execution = ExecutionConfig.long_form(said(said(written, section), "execution"))
        if said(execution, "type") == "batch":
            expected = "`direct` where the pipeline has `sensitive` fields: what waits for a batch is not encrypted"
            yield mistake((section, "execution"), "strange_for_type", expected, execution)


def _derived_rows(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what does not fit steps that make several records of one: fields that would take the place of a key, a key
    of rows that does not tell those of one record apart, and copies of sensitive fields under other names."""
    extract, load = said(written, "extract"), said(written, "load")
    key = said(extract, "key")
    keys = [key] if isinstance(key, str) else key if isinstance(key, list) else []
    sensitive = {str(name).partition(".")[0] for name in items(written, "sensitive")}
    steps = items(said(written, "transform"), "steps")
    for at, step in enumerate(steps):
        if said(step, "type") in OPENING:
            for name in (part_field(step), number_field(step)):
                if name in keys:
                    expected = f"another field: it would overwrite the record's key `{name}`"
                    yield mistake((*_STEPS, at), "overwrites_key", expected, name)
            if (field := said(step, "field")) in sensitive and part_field(step) != field:
                expected = f"no `into` here: `{field}` is sensitive, and so is each part of it"
                yield mistake((*_STEPS, at, "into"), "sensitive", expected, said(step, "into"))
        gathered = said(step, "fields") if said(step, "type") == GATHER else None
        for into, field in gathered.items() if isinstance(gathered, Mapping) else ():
            if field in sensitive and into != field:
                expected = f"`{field}: {field}`, as `{field}` is sensitive"
                yield mistake((*_STEPS, at, "fields", str(into)), "sensitive", expected, field)
    written_key = said(load, "key")
    named = [written_key] if isinstance(written_key, str) else written_key if isinstance(written_key, list) else []
    for number in number_fields(said(written, "transform")) if named else ():
        if number not in named:
            expected = f"`{number}` among them, as a step makes several rows of one record, which that tells apart"
            yield mistake(("load", "key"), "derived_rows", expected, written_key)


def _compared_in_clear(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the sensitive fields by which a step compares records: hashes of their values would be kept."""
    sensitive = {str(name).partition(".")[0] for name in items(written, "sensitive")}
    for at, step in enumerate(items(said(written, "transform"), "steps")):
        for at_field, field in enumerate(by_fields(step) if said(step, "type") == DEDUPE else ()):
            if field in sensitive:
                expected = f"fields that are not sensitive: hashes of the values of `{field}` would be kept"
                yield mistake((*_STEPS, at, *_place_in(step, "by", at_field)), "sensitive", expected, field)


def _joined_rows(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the fields that a step adds of the rows of another source which are a key, or are sensitive: these rows are
    kept in clear."""
    key = said(said(written, "extract"), "key")
    keys = [key] if isinstance(key, str) else key if isinstance(key, list) else []
    sensitive = {str(name).partition(".")[0] for name in items(written, "sensitive")}
    for at, step in enumerate(items(said(written, "transform"), "steps")):
        for name in joined_fields(step) if said(step, "type") == JOIN else ():
            if name in keys:
                expected = f"another name: it would overwrite the record's key `{name}`"
                yield mistake((*_STEPS, at, "fields"), "overwrites_key", expected, name)
            if name in sensitive:
                expected = f"fields that are not sensitive: the rows with `{name}` are kept in clear"
                yield mistake((*_STEPS, at, "fields"), "sensitive", expected, name)


def _grouped_rows(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what does not fit steps that make one record of many: copies of sensitive fields in clear, and
    fields and keys that a group's record does not have."""
    load, transform = said(written, "load"), said(written, "transform")
    steps, by = items(transform, "steps"), group_fields(transform)
    if by is None:
        return
    for at, step in enumerate(steps):
        kind = said(step, "type")
        if kind not in (GROUP, RESOLVE) or resolve_of(steps, at) is not None:
            continue
        yield from _grouped_in_clear(at, step, {str(name).partition(".")[0] for name in items(written, "sensitive")})
    made = {field for step in steps for field in made_by(step) or ()}
    unknown = any(said(step, "type") == RESOLVE and made_by(step) is None for step in steps)
    for at, field in enumerate(() if unknown else items(load, "include")):
        if field not in made:
            expected = "a field that a group has: what is loaded is made of many records of the source"
            yield mistake(("load", "include", at), "grouped", expected, field)
    written_key = said(load, "key")
    named = [written_key] if isinstance(written_key, str) else written_key if isinstance(written_key, list) else []
    for field in by if named else ():
        if field not in named:
            expected = f"`{field}` among them, which tells the groups apart whose records are loaded"
            yield mistake(("load", "key"), "derived_rows", expected, written_key)


def _grouped_in_clear(at: int, step: Any, sensitive: Collection[str]) -> Iterator[Mistake]:
    """Yield the sensitive values of records that would stand in clear in the groups of a step: in their ids, and in
    fields of other names."""
    key = "by" if said(step, "type") == GROUP else "block"
    for at_field, field in enumerate(listed(step, key)):
        if field in sensitive:
            expected = f"fields that are not sensitive: values of `{field}` would stand in the ids of groups"
            yield mistake((*_STEPS, at, *_place_in(step, key, at_field)), "sensitive", expected, field)
    fields = said(step, "fields")
    for name, each in fields.items() if isinstance(fields, Mapping) else ():
        of = next(iter(each.values()), None) if isinstance(each, Mapping) else None
        if of in sensitive and name not in sensitive:
            expected = f"the name of a sensitive field, as it is made of `{of}`: add `{name}` to `sensitive`"
            yield mistake((*_STEPS, at, "fields", str(name)), "sensitive", expected, name)


def _place_in(step: Any, key: str, at: int) -> Place:
    """Return the place of one of the fields that a key of a step names, which may be a single one."""
    return (key,) if isinstance(said(step, key), str) else (key, at)


def models_in(written: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield every model that a definition names, as written or as models, with its place."""
    evaluate = said(written, "evaluate")
    named: list[tuple[Place, Any]] = []
    for place, definition in definitions_by_step(written):
        transform = said(definition, "transform")
        embeds, asks = said(transform, "type") == "embed", asks_models(transform)
        asked = transform if asks else None
        fallback = FallbackConfig.long_form(said(asked, "fallback"))
        named += [
            ((*place, "model"), said(transform, "model") if asks or embeds else None),
            *(((*place, "fallback", "models", at), model) for at, model in enumerate(items(fallback, "models"))),
            *(((*place, *at), model) for at, model in judges_named(asked)),
            *(((*place, *at), model) for at, model in embeddings_named(asked)),
        ]
    for at, step in enumerate(items(said(written, "transform"), "steps")):
        if said(step, "type") in (JOIN, RESOLVE):
            embedding = said(step, "embedding")
            short = isinstance(embedding, str)
            place = (*_STEPS, at, "embedding", *(() if short else ("model",)))
            named.append((place, embedding if short else said(embedding, "model")))
    named += [
        *cheap_models(written),
        (("evaluate", "model"), said(evaluate, "model")),
        *(
            (("evaluate", "evaluators", at, "model"), said(evaluator, "model"))
            for at, evaluator in enumerate(items(evaluate, "evaluators"))
            if asks_a_model(evaluator)
        ),
    ]
    yield from ((at, model) for at, model in named if isinstance(model, str))


def cheap_models(definition: Any) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    """Yield the models of the cheap tiers of a definition, as written or as a model, with their places."""
    cheap = CheapTier.long_form(said(said(said(definition, "transform"), "cascade"), "cheap"))
    yield ("transform", "cascade", "cheap", "model"), said(cheap, "model")
    evaluators = said(said(definition, "evaluate"), "evaluators")
    for at, evaluator in enumerate(evaluators if isinstance(evaluators, list | tuple) else ()):
        cheap = said(said(evaluator, "cascade"), "cheap")
        yield (
            ("evaluate", "evaluators", at, "cascade", "cheap", "model"),
            cheap if isinstance(cheap, str) else said(cheap, "model"),
        )
