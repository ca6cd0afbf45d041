"""Prompts: Jinja2 templates that see `input`, `context` and `params`, and nothing else of the machine.

What a value looks like as text, and how far an expression may grow, says `templates.py`. A name that is not there is an
error, never an empty string. `input.items` is the field of that name where the
record has one, not a method of the mapping."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes

from loom_common.domain.templates import Environment, plain_text
from loom_common.errors import RecordError

ROOTS = ("input", "context", "params")
"""What a prompt may name."""

_OF_THE_DATA = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    MemoryError,
)
"""What an expression of the prompt may raise for what it finds in a record, endless recursion included."""


@dataclass(frozen=True, slots=True)
class PromptMistake:
    """One mistake in a prompt: the 1-based line in its text, what was found, what was expected."""

    line: int
    found: str
    expected: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" Did you mean '{self.suggestion}'?" if self.suggestion else ""
        return f"line {self.line}: found {self.found}; expected {self.expected}.{hint}"


class _Root(dict[str, Any]):
    """One of the three roots, which knows its name."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.name = name


class _Missing(jinja2.StrictUndefined):
    """Says which name is missing, and what there is instead."""

    @property
    def _undefined_message(self) -> str:
        name, holder = self._undefined_name, self._undefined_obj
        if isinstance(holder, Mapping):
            path = f"{holder.name}.{name}" if isinstance(holder, _Root) else str(name)
            return f"{path}, which is not there; there is {', '.join(map(str, holder)) or 'nothing'}"
        if self._undefined_hint or not isinstance(name, str):
            return super()._undefined_message
        return f"{name}, which is not there; there is {', '.join(ROOTS)}"


def _environment() -> Environment:
    return Environment(_Missing)


class Prompt:
    """A compiled prompt with its context and parameters, to be rendered for each record."""

    def __init__(self, text: str, context: Mapping[str, str], params: Mapping[str, Any]) -> None:
        """Raises `jinja2.TemplateSyntaxError`."""
        self._template = _compiled(text)
        self._context = _Root("context", context)
        self._params = _Root("params", params)

    def render(self, data: Mapping[str, Any]) -> str:
        """The prompt for a record's input. Raises `RecordError` (code `prompt`) naming what is missing."""
        try:
            parts = self._template.generate(input=_Root("input", data), context=self._context, params=self._params)
            return plain_text(parts)
        except jinja2.UndefinedError as error:
            raise RecordError(f"The prompt names {error.message}", code="prompt") from error
        except _OF_THE_DATA as error:
            words = f"{type(error).__name__}: {error}"
            raise RecordError(f"The prompt cannot be rendered for this record ({words})", code="prompt") from error


@lru_cache(maxsize=32)
def _compiled(text: str) -> jinja2.Template:
    return _environment().from_string(text)


def check_prompt(
    text: str, context: Collection[str], params: Collection[str], fields: Collection[str] | None = None
) -> list[PromptMistake]:
    """Every mistake that can be seen without a record: syntax, unknown variables, unknown names under `context`
    and `params` - and under `input`, where the source's `fields` are known."""
    environment = _environment()
    try:
        tree = environment.parse(text)
        environment.from_string(text)  # the compiler finds unknown filters and tests, which the parser lets pass
    except jinja2.TemplateSyntaxError as error:
        return [PromptMistake(error.lineno, error.message or "a syntax error", "a Jinja2 template")]
    known: dict[str, Collection[str] | None] = {"input": fields, "context": context, "params": params}
    own = {*_names_bound(tree), *environment.globals}
    mistakes = [
        PromptMistake(
            name.lineno, f"the unknown variable '{name.name}'", f"one of {', '.join(ROOTS)}", _closest(name.name, ROOTS)
        )
        for name in tree.find_all(nodes.Name)
        if name.ctx == "load" and name.name not in own and name.name not in ROOTS
    ]
    mistakes += [
        PromptMistake(
            line, f"{root}.{name}", f"one of {', '.join(options) or 'none: none is declared'}", _closest(name, options)
        )
        for root, name, line in _looked_up(tree, own)
        if (options := known[root]) is not None and name not in options
    ]
    return sorted(set(mistakes), key=lambda mistake: (mistake.line, mistake.found))


def _names_bound(tree: nodes.Template) -> set[str]:
    """Variables that the template itself sets: loops, `set`, macros and their arguments, imports."""
    bound = {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    bound |= {macro.name for macro in tree.find_all(nodes.Macro)}
    if next(tree.find_all(nodes.For), None):
        bound.add("loop")
    if next(tree.find_all((nodes.Macro, nodes.CallBlock)), None):
        bound |= {"caller", "varargs", "kwargs"}
    return bound


def _looked_up(tree: nodes.Template, own: set[str]) -> Iterable[tuple[str, str, int]]:
    """`context.name` and `params["name"]`, wherever they stand: (root, name, line)."""
    optional = {id(test.node) for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")}
    optional |= {id(filtered.node) for filtered in tree.find_all(nodes.Filter) if filtered.name in ("default", "d")}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        holder: nodes.Expr = node.node  # type: ignore[attr-defined]  # both kinds have one
        if not isinstance(holder, nodes.Name) or holder.name not in ROOTS or holder.name in own or id(node) in optional:
            continue
        if isinstance(node, nodes.Getattr) and not hasattr(dict, node.attr):
            yield holder.name, node.attr, node.lineno
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            yield holder.name, str(node.arg.value), node.lineno


def _closest(word: str, options: Collection[str]) -> str | None:
    matches = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return matches[0] if matches else None
