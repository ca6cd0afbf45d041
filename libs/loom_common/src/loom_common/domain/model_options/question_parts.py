"""Defines what a question to a model holds beside its prompt: a system prompt, earlier turns, and examples."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.embedding_model import EmbeddingConfig
from loom_common.domain.model_options.attachments import AttachmentConfig
from loom_common.domain.section import Mistake, Section, items, mistake, said


class TurnConfig(Section):
    """Holds one turn of the conversation in front of the prompt."""

    role: Literal["system", "user", "assistant"] = Field(description="`system`, `user` or `assistant`.")
    content: str = Field(min_length=1, description="A Jinja2 template, as a path or inline, like the prompt.")


class ExamplesConfig(Section):
    """Says which solved examples a question shows. In the short form, `examples: FILE`, it shows all of a file."""

    file: str = Field(min_length=1, description="A `.csv`, `.jsonl`, `.json` or `.yaml` file of inputs and outputs.")
    count: int | None = Field(None, ge=1, le=1000, description="The most examples in one question. Default: all.")
    choose: Literal["fixed", "by_field", "nearest"] = Field(
        "fixed",
        description="`fixed`: the first of the file; `by_field`: those whose field `by` has the record's value; "
        "`nearest`: those whose text is most like the record's, by word vectors or by an `embedding` model.",
    )
    embedding: EmbeddingConfig | None = Field(
        None, description="The model that finds the `nearest` by its vectors of texts. Default: local word vectors."
    )
    by: str | None = Field(
        None, min_length=1, description="The field that `by_field` compares, or `nearest` (default there: all fields)."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"file": written} if isinstance(written, str) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """`by` goes with the ways of choosing that compare a field."""
        choose, by = said(written, "choose") or "fixed", said(written, "by")
        if choose == "by_field" and by is None:
            yield mistake((), "missing_for_type", "`by`, the field that `choose: by_field` compares", written)
        if choose == "fixed" and by is not None:
            yield mistake(("by",), "strange_for_type", "no `by` where `choose` is `fixed`: nothing is compared", by)
        if choose != "nearest" and (embedding := said(written, "embedding")) is not None:
            expected = "`choose: nearest` beside `embedding`, whose vectors say what is near"
            yield mistake(("embedding",), "strange_for_type", expected, embedding)
        if choose == "nearest" and said(written, "count") is None:
            yield mistake((), "missing_for_type", "`count`, as every example is near to some degree", written)


class QuestionConfig(Section):
    """Has the keys of a transform that say what its question holds beside the prompt."""

    system: str | None = Field(
        None, min_length=1, description="The system prompt: a template like the prompt, as a path or inline."
    )
    messages: list[TurnConfig] = Field(
        [],
        description="Turns in front of the prompt. Without a `prompt`, the last of them is the prompt.",
    )
    max_characters: int | None = Field(
        None,
        ge=1,
        description="The longest answer, in characters. A longer one is cut off there, and quarantines its record as "
        "`answer_too_long`.",
    )
    attachments: list[AttachmentConfig] = Field(
        [], max_length=20, description="Images, documents and recordings beside the prompt."
    )
    examples: ExamplesConfig | None = Field(
        None, description="Solved examples, as turns of their own, or where a template says `{{ examples }}`."
    )


def with_prompt(written: Any) -> Any:
    """Return a transform as it was written, with the last of its messages as its prompt where it has none."""
    if not isinstance(written, Mapping) or "prompt" in written or "prompt_path" in written:
        return written
    turns = items(written, "messages")
    role, content = (said(turns[-1], "role"), said(turns[-1], "content")) if turns else (None, None)
    if role != "user" or not isinstance(content, str):
        return written
    return {**written, "messages": turns[:-1], "prompt": content}


def embeddings_named(transform: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the model that finds the nearest examples, as written, with its place."""
    named = said(said(transform, "examples"), "embedding")
    at = ("examples", "embedding")
    yield (at, named) if isinstance(named, str) else ((*at, "model"), said(named, "model"))


def question_mistakes(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield what does not fit together in the keys of a question."""
    turns = items(written, "messages")
    has_prompt = any(said(written, key) is not None for key in ("prompt", "prompt_path"))
    if turns and not has_prompt and said(turns[-1], "role") in ("system", "assistant"):
        expected = "a turn of the `user` as the last one, or a `prompt` beside `messages`"
        yield mistake(("messages", len(turns) - 1, "role"), "last_turn", expected, said(turns[-1], "role"))
    together = said(written, "records_per_call")
    if isinstance(together, int) and together > 1:
        for key in ("messages", "examples", "attachments", "max_characters"):
            if said(written, key):
                expected = f"no `{key}` beside `records_per_call`, which puts several records into one question"
                yield mistake((key,), "strange_for_type", expected, said(written, key))
