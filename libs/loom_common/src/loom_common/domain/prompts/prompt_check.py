"""Finds mistakes in a prompt without rendering it, with their positions."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import nodes

from loom_common.domain.prompts.prompt import ROOTS, environment
from loom_common.domain.values.near import closest

_TAG = re.compile(r"\{\{|\{%-?\+?\s*(?P<name>\w*)|\{#")
_SPACED = re.compile(r"\{\{-?\s*(?P<whole>input\.(?P<name>(?!\d)\w+(?:[ ]+\w+)+))\s*(?:\||-?\}\})")
_WORDS = frozenset({"and", "else", "if", "in", "is", "not", "or"})
"""Words of Jinja2 that may stand behind the name of a field."""
_ENDS = {"{{": "}}", "{%": "%}", "{#": "#}"}


@dataclass(frozen=True, slots=True)
class PromptMistake:
    """Describes a mistake in a prompt: its 1-based line, what was found, and what was expected."""

    line: int
    found: str
    expected: str
    suggestion: str | None = None
    column: int | None = None
    """The 1-based column; None where it is unknown."""

    def __str__(self) -> str:
        hint = f" Did you mean '{self.suggestion}'?" if self.suggestion else ""
        return f"line {self.line}: found {self.found}; expected {self.expected}.{hint}"


@dataclass(frozen=True, slots=True)
class PromptField:
    """Describes a field of the input that a prompt uses, and its position."""

    name: str
    line: int
    column: int | None


def check_prompt(
    text: str, context: Collection[str], params: Collection[str], also: Collection[str] = ()
) -> list[PromptMistake]:
    """Return every mistake that can be found without a record: syntax, unknown variables, filters and tests, and
    unknown names under `context` and `params`. `also` are names that may be used besides."""
    text = text.replace("\r\n", "\n")
    compiling = environment()
    try:
        tree = compiling.parse(text)
        unknown = list(_unknown_functions(tree, compiling, text))
        if not unknown:
            compiling.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        return [_syntax(error, text)]
    known: dict[str, Collection[str]] = {"context": context, "params": params}
    own, roots = {*_names_bound(tree), *compiling.globals}, (*ROOTS, *also)
    mistakes = [
        *unknown,
        *(
            PromptMistake(
                name.lineno,
                f"the unknown variable '{name.name}'",
                f"one of {', '.join(roots)}",
                closest(name.name, roots),
                _column(text, name.lineno, rf"(?<![\w.'\"]){re.escape(name.name)}\b"),
            )
            for name in tree.find_all(nodes.Name)
            if name.ctx == "load" and name.name not in own and name.name not in roots
        ),
        *(
            PromptMistake(
                line,
                f"{root}.{name}",
                f"one of {', '.join(known[root]) or 'none: none is declared'}",
                closest(name, known[root]),
                _column_of_lookup(text, line, root, name),
            )
            for root, name, line in _looked_up(tree, own)
            if root in known and name not in known[root]
        ),
    ]
    return sorted(set(mistakes), key=lambda mistake: (mistake.line, mistake.column or 0, mistake.found))


def fields_of(text: str) -> list[PromptField]:
    """Return every input field that a prompt requires; none where the prompt cannot be read."""
    text = text.replace("\r\n", "\n")
    try:
        tree = environment().parse(text)
    except jinja2.TemplateSyntaxError:
        return []
    found = (
        PromptField(name, line, _column_of_lookup(text, line, root, name))
        for root, name, line in _looked_up(tree, _names_bound(tree))
        if root == "input"
    )
    return list(dict.fromkeys(found))


def params_of(text: str) -> set[str] | None:
    """Return every parameter that a prompt uses; None where that cannot be known, as in `{{ params }}`."""
    try:
        tree = environment().parse(text)
    except jinja2.TemplateSyntaxError:
        return None
    named = [name for root, name, _ in _looked_up(tree, set(), also_optional=True) if root == "params"]
    mentioned = sum(each.name == "params" for each in tree.find_all(nodes.Name))
    return set(named) if mentioned <= len(named) else None


def _unknown_functions(tree: nodes.Template, compiling: jinja2.Environment, text: str) -> Iterator[PromptMistake]:
    """Yield unknown filters and tests, and references to other templates, which do not exist."""
    kinds: tuple[tuple[type[Any], str, Collection[str], str], ...] = (
        (nodes.Filter, "filter", compiling.filters, r"\|\s*"),
        (nodes.Test, "test", compiling.tests, r"\bis\s+(?:not\s+)?"),
    )
    for kind, word, known, before in kinds:
        for node in tree.find_all(kind):
            if node.name not in known:
                column = _column(text, node.lineno, rf"{before}(?P<it>{re.escape(node.name)})\b")
                near = closest(node.name, known, 0.7)
                yield PromptMistake(
                    node.lineno, f"the unknown {word} '{node.name}'", f"a {word} of Jinja2's", near, column
                )
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        word = {"Include": "include", "Extends": "extends", "FromImport": "from"}.get(type(node).__name__, "import")
        column = _column(text, node.lineno, rf"\{{%-?\s*{word}\b")
        yield PromptMistake(node.lineno, f"`{word}`", "one template: a prompt sees no other file", None, column)


def _syntax(error: jinja2.TemplateSyntaxError, text: str) -> PromptMistake:
    message = error.message or "a syntax error"
    if unexpected := re.fullmatch(r"unexpected char (.+) at (\d+)", message):
        quote = unexpected[1] in ('"\'"', "'\"'")
        found = "a quote that is opened and never closed" if quote else f"the character {unexpected[1]}"
        return _at(text, int(unexpected[2]), found, "a closing quote" if quote else "a Jinja2 template")
    if (opening := _unclosed_tag(text)) is not None:
        written = text[opening : opening + 2]
        return _at(text, opening, f"`{written}` that is never closed", f"a closing `{_ENDS[written]}`")
    ends_early = message.lower().startswith(("unexpected end of template", "missing end of"))
    if ends_early and (block := _unclosed_block(text)) is not None:
        start, name = block
        return _at(text, start, f"`{{% {name} %}}` that is never closed", f"`{{% end{name} %}}`")
    if (spaced := _spaced_field(text)) is not None:
        at, name = spaced
        return _at(
            text, at, f"the name of a field with a space, {name!r}", f"`input[{json.dumps(name, ensure_ascii=False)}]`"
        )
    patterns = (
        (r"unknown tag '(\w+)'", r"\{{%-?\s*(?P<it>{})"),
        (r"unexpected '(.+?)'", r"(?P<it>{})"),
        (r"got '(\w+)'", r"(?P<it>{})"),
    )
    for words, pattern in patterns:
        if (named := re.search(words, message)) is not None:
            column = _column(text, error.lineno, pattern.format(re.escape(named[1])))
            if column is not None:
                return PromptMistake(error.lineno, message, "a Jinja2 template", None, column)
    return PromptMistake(error.lineno, message, "a Jinja2 template", None, _column(text, error.lineno, r"\{[{%#]"))


def _spaced_field(text: str) -> tuple[int, str] | None:
    """Return the position and the name of the first field with a space in it that is written behind a dot."""
    for found in _SPACED.finditer(text):
        if not _WORDS & set(found["name"].split()):
            return found.start("whole"), found["name"]
    return None


def _at(text: str, offset: int, found: str, expected: str) -> PromptMistake:
    before = text[:offset]
    return PromptMistake(before.count("\n") + 1, found, expected, None, len(before) - (before.rfind("\n") + 1) + 1)


def _unclosed_tag(text: str) -> int | None:
    """Return the position of a `{{`, `{%` or `{#` that is not closed before the next one opens."""
    at = 0
    while (opened := _TAG.search(text, at)) is not None:
        start = opened.start()
        end = text.find(_ENDS[text[start : start + 2]], start + 2)
        following = _TAG.search(text, start + 2)
        if end < 0 or (following is not None and following.start() < end and text[start : start + 2] != "{#"):
            return start
        at = end + 2
    return None


def _unclosed_block(text: str) -> tuple[int, str] | None:
    """Return the line and the name of the innermost block without an end."""
    opened: list[tuple[int, str]] = []
    for tag in _TAG.finditer(text):
        name = tag["name"] or ""
        if name.startswith("end"):
            if opened and opened[-1][1] == name[3:]:
                opened.pop()
        elif name in ("if", "for", "macro", "call", "filter", "block", "raw", "with", "autoescape"):
            opened.append((tag.start(), name))
    return opened[-1] if opened else None


def _column_of_lookup(text: str, line: int, root: str, name: str) -> int | None:
    escaped = re.escape(name)
    return _column(text, line, rf"\b{root}\s*(?:\.\s*{escaped}\b|\[\s*['\"]{escaped}['\"])")


def _column(text: str, line: int, pattern: str) -> int | None:
    """Return the column in which the pattern (or its group `it`) first occurs in the 1-based line."""
    lines = text.split("\n")
    found = re.search(pattern, lines[line - 1]) if 0 < line <= len(lines) else None
    if found is None:
        return None
    return (found.start("it") if "it" in found.re.groupindex else found.start()) + 1


def _names_bound(tree: nodes.Template) -> set[str]:
    """Return the variables that the template sets itself: in loops, `set`, macros, their arguments, and imports."""
    bound = {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    bound |= {macro.name for macro in tree.find_all(nodes.Macro)}
    if next(tree.find_all(nodes.For), None):
        bound.add("loop")
    if next(tree.find_all((nodes.Macro, nodes.CallBlock)), None):
        bound |= {"caller", "varargs", "kwargs"}
    return bound


def _looked_up(tree: nodes.Template, own: set[str], *, also_optional: bool = False) -> Iterable[tuple[str, str, int]]:
    """Yield each `context.name` and `params["name"]` as (root, name, line).

    Names with a `default`, or whose existence the template tests, are left out unless `also_optional`."""
    asked = {_lookup(test.node) for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")}
    spared = {id(filtered.node) for filtered in tree.find_all(nodes.Filter) if filtered.name in ("default", "d")}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        named = _lookup(node)
        if named is None or named[0] in own or (isinstance(node, nodes.Getattr) and hasattr(dict, node.attr)):
            continue
        if also_optional or (named not in asked and id(node) not in spared):
            yield *named, node.lineno


def _lookup(node: nodes.Node | None) -> tuple[str, str] | None:
    """Return the root and the name of `root.name` or `root["name"]`; None for any other node."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return None
    if not isinstance(node.node, nodes.Name) or node.node.name not in ROOTS:
        return None
    if isinstance(node, nodes.Getattr):
        return node.node.name, node.attr
    return (node.node.name, str(node.arg.value)) if isinstance(node.arg, nodes.Const) else None
