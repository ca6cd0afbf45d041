"""Renders a whole question for a record: system prompt, examples, earlier turns, and the prompt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol

from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.attachments import AttachmentConfig
from loom_common.domain.ontology.in_plan import text_in
from loom_common.domain.question.attachment import Attachment
from loom_common.domain.question.choosing import Choice, Index, choice_of
from loom_common.domain.question.examples import Example, read_examples
from loom_common.domain.values.per_record import per_record
from loom_common.errors import PermanentError, RecordError

if TYPE_CHECKING:
    from loom_common.domain.prompts.prompt import Prompt

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Holds one message of a conversation, as its template was rendered for a record."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class AskedAttachment:
    """Names an attachment of one record's question."""

    config: AttachmentConfig
    place: str
    """A path, an address or a content, as the template gave it."""

    @property
    def shown(self) -> str:
        """Return the attachment in one line, without its content."""
        given = self.place.startswith(("data:", "{"))
        return f"[{self.config.kind}: {self.place[:30] + '...' if given else self.place[:300]}]"


@per_record
class Question:
    """Holds a question that was rendered for a record."""

    prompt: str
    """The last turn, of the user."""
    before: tuple[Turn, ...] = ()
    """The turns in front of it."""
    attachments: tuple[AskedAttachment, ...] = ()
    """Holds what the last turn shows beside the prompt."""
    attached: tuple[Attachment, ...] = ()
    """The contents of the attachments, once they were read."""

    @property
    def shown(self) -> str:
        """Return the whole question as people read it: the prompt alone where there is nothing else."""
        prompt = "\n".join([*(each.shown for each in self.attachments), self.prompt])
        return in_sections([(turn.role, turn.text) for turn in self.before], prompt)


class Texts(Protocol):
    """Holds the files and parameters of a run, as its plan does."""

    @property
    def files(self) -> Mapping[str, str]:
        """Return the texts of the files by their paths."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Return the values of the parameters."""
        ...

    def text_of(self, path_or_text: str) -> str:
        """Return the text of a file, or the argument itself where it is no file."""
        ...


class QuestionTemplate:
    """Holds the compiled templates of a transform's question with its examples."""

    def __init__(self, plan: Texts, config: AiTransformConfig, index: Index | None = None) -> None:
        """Without an `index`, questions with the nearest examples are rendered without examples. Raises
        `PermanentError` where a template cannot be read, or a file is missing from the plan."""
        context = _context(plan, config)
        self._prompt = _compiled(plan, config.prompt, "prompt", context)
        self._system = None if config.system is None else _compiled(plan, config.system, "system", context)
        self._turns = [
            (turn.role, _compiled(plan, turn.content, f"messages.{place}", context))
            for place, turn in enumerate(config.messages)
        ]
        self._attachments = [
            (each, _compiled(plan, each.place, f"attachments.{at}", context))
            for at, each in enumerate(config.attachments)
        ]
        self._examples: Sequence[Example] = ()
        self._choose: Choice = lambda _: ()
        if config.examples is not None:
            self._examples = examples_of(plan, config)
            if index is not None or config.examples.choose != "nearest":
                self._choose = choice_of(config.examples, self._examples, index or _no_index)
        templates = [config.prompt, *([config.system] if config.system else []), *(t.content for t in config.messages)]
        self._inside = config.examples is not None and any(shows_examples(plan.text_of(each)) for each in templates)
        self._shown: dict[int, tuple[Turn, Turn]] = {}
        self._alike = self._parts_alike(plan, config)

    @property
    def examples(self) -> Sequence[Example]:
        """Return the examples that are chosen from."""
        return self._examples

    def render(self, data: Mapping[str, Any], chosen: Sequence[int] | None = None) -> Question:
        """Return the question for a record's input. `chosen` are the places of the examples that it shows, where they
        were chosen elsewhere. Raises `RecordError` (code `prompt`) that names what is missing."""
        chosen = self._choose(data) if chosen is None else chosen
        inside = self._listed(chosen) if self._inside else None
        before: list[Turn] = []
        if self._system is not None:
            before.append(Turn("system", self._system.render(data, inside)))
        if not self._inside:
            for place in chosen:
                before += self._turns_of(place)
        before += [Turn(role, template.render(data, inside)) for role, template in self._turns]
        return Question(self._prompt.render(data, inside), tuple(before), tuple(self._named(data)))

    def turns_alike(self, question: Question) -> int:
        """Return how many of a question's first turns are the same for every record, as their templates name nothing of
        it."""
        system, shown, turns = self._alike
        if self._system is not None and not system:
            return 0
        examples = len(question.before) - len(self._turns) - (self._system is not None)
        if examples and not shown:
            return int(self._system is not None)
        return int(self._system is not None) + examples + turns

    def _parts_alike(self, plan: Texts, config: AiTransformConfig) -> tuple[bool, bool, int]:
        """Return whether the system prompt and the examples are the same for every record, and how many of the turns
        behind them are."""
        fixed = config.examples is None or config.examples.choose == "fixed"
        names = {"input"} if fixed else {"input", "examples"}
        system = config.system is not None and not names_any(plan.text_of(config.system), names)
        turns = 0
        for turn in config.messages:
            if names_any(plan.text_of(turn.content), names):
                break
            turns += 1
        return system, fixed, turns

    def _named(self, data: Mapping[str, Any]) -> Iterator[AskedAttachment]:
        for config, template in self._attachments:
            place = template.render(data).strip()
            if place and place.lower() not in ("null", "none"):
                yield AskedAttachment(config, place)
            elif not config.optional:
                raise RecordError(f"The record names no {config.kind} ({config.place})", code="attachment_missing")

    def _listed(self, chosen: Sequence[int]) -> list[dict[str, Any]]:
        return [{"input": self._examples[at].input, "output": self._examples[at].output} for at in chosen]

    def _turns_of(self, place: int) -> tuple[Turn, Turn]:
        if place not in self._shown:
            example = self._examples[place]
            try:
                asked = self._prompt.render(example.input)
            except RecordError as error:
                raise RecordError(
                    f"The example on line {example.line} cannot be shown: {error}", code="prompt"
                ) from error
            self._shown[place] = (Turn("user", asked), Turn("assistant", example.answer))
        return self._shown[place]


def examples_of(plan: Texts, config: AiTransformConfig) -> list[Example]:
    """Return the examples of a transform that has some. Raises `PermanentError` where the file is missing from the plan
    or has mistakes."""
    assert config.examples is not None
    name = config.examples.file
    if name not in plan.files:
        raise PermanentError(f"The run's plan lacks the examples {name}. Start the run again.")
    examples, mistakes = read_examples(plan.files[name], name, schema_of_answers(config))
    if mistakes:
        first = mistakes[0]
        raise PermanentError(f"{name}:{first.line}: found {first.found}; expected {first.expected}.")
    return examples


def schema_of_answers(config: AiTransformConfig) -> Mapping[str, Any] | None:
    """Return the JSON Schema of a transform's answers; None where they are free text."""
    return None if isinstance(config.output, str) else config.declared_schema


def shows_examples(template: str) -> bool:
    """Tell whether a template shows the examples itself."""
    return names_any(template, {"examples"})


def names_any(template: str, names: Collection[str]) -> bool:
    """Tell whether a template names one of these variables."""
    if not any(name in template for name in names):
        return False
    import jinja2
    from jinja2 import meta

    from loom_common.domain.prompts.prompt import environment

    try:
        return not meta.find_undeclared_variables(environment().parse(template)).isdisjoint(names)
    except jinja2.TemplateSyntaxError:
        return False


def written_question(plan: Texts, config: AiTransformConfig) -> str:
    """Return all that decides what is asked, as one text: the prompt's template alone where there is nothing else. It
    is what the versions of a prompt are told apart by."""
    sections = [("system", plan.text_of(config.system))] if config.system is not None else []
    if config.examples is not None:
        of = config.examples
        named = (
            f"examples: {of.file}, {of.choose}{f' by {of.by}' if of.by else ''}{f', {of.count}' if of.count else ''}"
            f"{f', by vectors of {of.embedding.model}' if of.embedding else ''}"
        )
        sections.append((named, plan.files.get(of.file, "")))
    sections += [(turn.role, plan.text_of(turn.content)) for turn in config.messages]
    sections += [(f"attached {each.kind}", each.place) for each in config.attachments]
    return in_sections(sections, plan.text_of(config.prompt))


def in_sections(before: Sequence[tuple[str, str]], prompt: str) -> str:
    """Return texts one below the other, each with its name above it; the prompt alone where there is no other."""
    if not before:
        return prompt
    return "\n\n".join(f"--- {name} ---\n{text.rstrip()}" for name, text in [*before, ("user", prompt)])


def _context(plan: Texts, config: AiTransformConfig) -> dict[str, str]:
    missing = [path for path in config.context if path not in plan.files]
    if missing:
        raise PermanentError(f"The run's plan lacks the context files {', '.join(missing)}. Start the run again.")
    return {PurePath(path).stem: plan.files[path] for path in config.context}


def _compiled(plan: Texts, written: str, name: str, context: Mapping[str, str]) -> Prompt:
    import jinja2

    from loom_common.domain.prompts.prompt import Prompt

    try:
        return Prompt(plan.text_of(written), context, plan.params, text_in(plan.files))
    except jinja2.TemplateSyntaxError as error:
        where = "The prompt" if name == "prompt" else f"`transform.{name}`"
        raise PermanentError(f"{where} cannot be read: line {error.lineno}: {error.message}") from error


def _no_index(_: Sequence[str]) -> Any:
    raise AssertionError("only the nearest examples need an index")
