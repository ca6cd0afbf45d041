"""Defines the keys of a transform by which the question about a record becomes several calls: samples of which one is
picked, refinement by a judge, and tools that the model uses."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.model_options.criteria import Instructions
from loom_common.domain.section import FunctionRef, Mistake, SecretRef, Section, WebLocation, items, mistake, said
from loom_common.domain.values.durations import Limit

Pick = Literal["vote", "judge", "first_valid"]
AGREEMENT = "agreement"
_AT_LEAST = re.compile(r"\s*score\s*>=\s*(\d*\.?\d+)\s*\Z")


class Judge(Section):
    """Says which model judges answers before one is chosen, and by what. It sees the record's question and the answer,
    and gives a score from 0 to 1 with its reasons. The short form is the model alone."""

    model: str | None = Field(None, description="The model that judges. Default: that of the transform.")
    criteria: Instructions | None = Field(None, description="What to judge by, as plain text.")
    base_url: WebLocation | None = Field(None, description="Its endpoint. Default: as for `fallback.models`.")
    api_key: SecretRef | None = Field(None, description="A credential reference. Default: as for `fallback.models`.")
    temperature: float | None = Field(0.0, ge=0, le=2, description="Sampling temperature; null leaves it to the model.")
    max_tokens: int | None = Field(None, ge=1, description="The longest judgement, in tokens.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"model": written} if isinstance(written, str) else written


class Gleaning(Section):
    """Says how an answer is refined: a judge scores it, and while the score is too low, the model is asked again with
    the judge's reasons. The best answer is kept, whatever its score: rejecting it is the gate's affair."""

    validation_prompt: Instructions | None = Field(
        None, description="What the judge looks at, as plain text: the same as `judge.criteria`."
    )
    judge: Judge = Field(default_factory=Judge, description="The model that judges.")
    max_rounds: int = Field(2, ge=1, le=20, description="How often the model is asked again, at most.")
    accept: float = Field(
        0.8,
        ge=0,
        le=1,
        description="The score at which no further round is made; also written `score>=0.8`.",
        json_schema_extra={"type": ["number", "string"]},
    )

    @property
    def criteria(self) -> str | None:
        """Return what the judge looks at."""
        return self.validation_prompt or self.judge.criteria

    @classmethod
    def long_form(cls, written: Any) -> Any:
        accept = said(written, "accept")
        if isinstance(accept, str) and (least := _AT_LEAST.match(accept)) is not None:
            return {**written, "accept": float(least[1])}
        return written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """What the judge looks at is said once."""
        if said(written, "validation_prompt") is not None and said(said(written, "judge"), "criteria") is not None:
            expected = "no `criteria` beside `validation_prompt`, which says the same"
            yield mistake(("judge", "criteria"), "strange_for_type", expected, said(said(written, "judge"), "criteria"))


class ToolConfig(Section):
    """Names a Python function that the model may use before it answers. Its type hints and its docstring describe it.
    The short form is `module:name` alone."""

    function: FunctionRef = Field(description="`module:name` of a function, sync or async.")
    name: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$", description="Its name for the model. Default: the function's."
    )
    description: str | None = Field(None, min_length=1, description="What it is for. Default: its docstring.")
    changes: bool = Field(
        False, description="Whether it changes something. It then has to be `idempotent`, and trials do not run it."
    )
    idempotent: bool = Field(
        False,
        description="Whether it may be run again with the same `idempotency_key`, a parameter that it then takes.",
    )
    timeout: Limit = Field("30s", description="What one use may take. Past it, the model is told so.")

    @property
    def tool_name(self) -> str:
        """Return the name of the tool for the model."""
        return self.name or self.function.rpartition(":")[2]

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"function": written} if isinstance(written, str) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A worker may die while a tool runs, which then runs again."""
        if said(written, "changes") is True and said(written, "idempotent") is not True:
            expected = "`idempotent: true` beside `changes: true`: after a crash it may be run a second time"
            yield mistake(("idempotent",), "missing_for_type", expected, said(written, "idempotent"))


class SeveralCalls(Section):
    """Holds the keys of a transform by which the question about a record is asked several times."""

    n: int = Field(
        1, ge=1, le=50, description="How often each record's question is asked. Each sample is a call of its own."
    )
    pick: Pick | None = Field(
        None,
        description="Which of `n` samples is the output: `vote` (the default) takes the most frequent answer, `judge` "
        "the one with the highest score, `first_valid` the first that fits `output`, and asks no further.",
    )
    vote_by: str | None = Field(
        None, min_length=1, description="`vote`: the output field whose values are counted. Default: whole answers."
    )
    agreement: str | None = Field(
        AGREEMENT,
        min_length=1,
        description="`vote`, `judge`: the field that is added to the output, with the share of the samples that agree "
        "with it. null adds none.",
    )
    judge: Judge | None = Field(None, description="`pick: judge`: who judges the samples. Default: the same model.")
    gleaning: Gleaning | None = Field(None, description="Refinement by a judge. With `n`, of each sample by itself.")

    tools: list[ToolConfig] = Field(
        [], description="Python functions that the model may use before it answers: `[module:name]`."
    )
    max_rounds: int = Field(
        5, ge=1, le=50, description="`tools`: how often the model may ask for some before it has to answer."
    )

    @property
    def judges(self) -> tuple[Judge, ...]:
        """Return everything that judges answers before one is chosen."""
        picking = (self.judge or Judge(),) if self.n > 1 and self.pick == "judge" else ()
        return (*picking, *((self.gleaning.judge,) if self.gleaning else ()))


def agreement_field(transform: Any) -> str | None:
    """Return the field that samples add to the output of a transform, as written or as a model; None for none."""
    number = said(transform, "n")
    if not isinstance(number, int) or number <= 1 or said(transform, "pick") == "first_valid":
        return None
    written = transform.get(AGREEMENT, AGREEMENT) if isinstance(transform, Mapping) else said(transform, AGREEMENT)
    return written if isinstance(written, str) else None


def judges_named(transform: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the models that judge a transform's answers, as written or as models, with their places."""
    for at, section in ((("judge",), transform), (("gleaning", "judge"), said(transform, "gleaning"))):
        judge = said(section, "judge")
        yield (at, judge) if isinstance(judge, str) else ((*at, "model"), said(judge, "model"))


def several_calls_fit(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what does not fit together in a transform whose question is asked several times."""
    number, pick = said(written, "n"), said(written, "pick")
    several = isinstance(number, int) and number > 1
    if not several:
        for key in ("pick", "vote_by", "judge", AGREEMENT):
            if said(written, key) is not None:
                yield mistake((key,), "strange_for_type", f"`n` above 1, which {key} needs", said(written, key))
    elif not (said(written, "temperature") or ("temperature" in written and written["temperature"] is None)):
        expected = "a temperature above 0, or null, beside `n`: at 0 a model gives the same answer each time"
        yield mistake(("temperature",), "missing_for_type", expected, said(written, "temperature"))
    if several and pick not in (None, "vote") and said(written, "vote_by") is not None:
        yield mistake(("vote_by",), "strange_for_type", f"no `vote_by` with pick: {pick}", said(written, "vote_by"))
    if several and pick != "judge" and said(written, "judge") is not None:
        yield mistake(("judge",), "strange_for_type", "`pick: judge`, which `judge` needs", said(written, "judge"))
    yield from _fields_fit(written)
    yield from _tools_fit(written)
    together = said(written, "records_per_call")
    if isinstance(together, int) and together > 1:
        for key in ("gleaning", "tools", *(("n",) if several else ())):
            if said(written, key) not in (None, []):
                expected = f"no `records_per_call` beside `{key}`, which asks about one record at a time"
                yield mistake(("records_per_call",), "strange_for_type", expected, together)


def _tools_fit(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Each tool has a name of its own, and rounds are those of tools."""
    tools = [ToolConfig.long_form(each) for each in items(written, "tools")]
    if not tools and said(written, "max_rounds") is not None:
        yield mistake(("max_rounds",), "strange_for_type", "`tools`, whose rounds it limits", written["max_rounds"])
    names = [said(each, "name") or str(said(each, "function")).rpartition(":")[2] for each in tools]
    for at, name in enumerate(names):
        if name in names[:at]:
            yield mistake(("tools", at), "twice", f"`name`, because another tool is called {name}", name)


def _fields_fit(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """`agreement` is a new field of the output, and `vote_by` one that is there."""
    output = said(written, "output")
    fields = output.get("properties", output) if isinstance(output, Mapping) else {}
    added, by = agreement_field(written), said(written, "vote_by")
    if isinstance(fields, Mapping) and added in fields:
        expected = f"another name than `{added}`, which `output` has: the share of agreeing samples is added to it"
        yield mistake((AGREEMENT,), "strange_for_type", expected, added)
    if isinstance(fields, Mapping) and fields and isinstance(by, str) and by not in fields:
        yield mistake(("vote_by",), "field", f"a field of `output`: {', '.join(map(str, fields))}", by)
