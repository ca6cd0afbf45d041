"""Explains YAML that cannot be read: where the mistake was made, which is often not where the parser noticed it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.tokens import AnchorToken, ScalarToken, Token

from loom_common.errors import Problem

_CLOSED_BY = {"[": "]", "{": "}"}
_WORDS = {
    "expected ',' or": ("two items without a comma between them", "a comma"),
    "mapping values are not allowed": ("a second colon", "one `key: value` a line; quotes around text with a colon"),
    "character '\\t'": ("a tab", "spaces"),
    "cannot start any token": (None, "quotes around text that begins with this character"),
    "unhashable key": (None, "quotes around text that begins with a brace"),
    "<block mapping start>": ("a key that is indented otherwise", "the indentation of the other keys of its section"),
    "<block sequence start>": ("a list that is indented otherwise", "the indentation of the items above"),
    "'<scalar>'": ("text where the value had ended", "a quote within quotes doubled, or other quotes around"),
    "sequence entries are not allowed": ("a list item behind a key", "a list on lines of its own, or in brackets"),
    "unknown escape character": (None, "single quotes, in which a backslash is text"),
    "another document": (None, "one document: no second `---`"),
    "could not determine a constructor": (None, "a value without a tag: no `!` before it"),
    "for merging": (None, "`<<:` with an alias of a section: `<<: *name`"),
}
"""Maps the parser's own words for what it met to ours, where they are plainer, and to what usually helps."""


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    """1-based, as is the column."""
    column: int

    @classmethod
    def of(cls, mark: Any) -> _Place:
        return cls(mark.line + 1, mark.column + 1)


def syntax_problem(error: Exception, text: str, file: str) -> Problem:
    """Return the mistake in `text` that made the parser raise `error`."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        place = _Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return _problem(file, place, f"the character {chr(error.character)!r}", "printable text")
    if not isinstance(error, MarkedYAMLError):
        return _unreadable_value(error, text, file)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem((), str(error), "valid YAML", file=file)
    if (tab := _tab_in_indent(text, mark.line)) is not None:
        return _problem(file, tab, "a tab", "spaces: YAML is not indented by tabs")
    for look in (_open_quote, _open_bracket, _line_without_colon, _indented_further, _unknown_alias):
        if (found := look(error, text)) is not None:
            return _problem(file, *found)
    what = (error.problem or error.context or "bad syntax").removeprefix("but ").removeprefix("found ")
    words, expected = next((each for key, each in _WORDS.items() if key in what), (None, "valid YAML"))
    return _problem(file, _Place.of(mark), words or what, expected)


def reused_anchors(text: str, file: str) -> list[Problem]:
    """Return every anchor (`&name`) that stands a second time, so that an alias would depend on where it stands."""
    problems, first = [], dict[str, int]()
    for token in _tokens(text):
        if isinstance(token, AnchorToken):
            place = _Place.of(token.start_mark)
            if token.value in first:
                found, expected = f"the anchor `&{token.value}` a second time", "each anchor once"
                told = f"{expected} (first on line {first[token.value]})"
                problems.append(_problem(file, place, found, told))
            first.setdefault(token.value, place.line)
    return problems


_Found = tuple[_Place, str, str]


def _open_quote(error: MarkedYAMLError, text: str) -> _Found | None:
    """Return a quote that was opened and not closed on its line: what follows was taken for text until the next
    quote."""
    mark = error.problem_mark
    if error.context and "quoted scalar" in error.context and "end of stream" in (error.problem or ""):
        return _Place.of(error.context_mark), "a quote that is opened and never closed", "a closing quote"
    for token in _tokens(text):
        if not isinstance(token, ScalarToken) or token.style not in ("'", '"') or mark is None:
            continue
        if token.start_mark.line < token.end_mark.line == mark.line and token.end_mark.column <= mark.column:
            found = f"a quote that is closed only on line {token.end_mark.line + 1}, by the next quote"
            return _Place.of(token.start_mark), found, "a closing quote on its own line"
    return None


def _open_bracket(error: MarkedYAMLError, text: str) -> _Found | None:
    """Return a bracket or brace that nothing closes."""
    context, mark = error.context_mark, error.problem_mark
    if not error.context or "flow" not in error.context or context is None or mark is None:
        return None
    opening = text[context.index : context.index + 1]
    if opening not in _CLOSED_BY or _is_closed(text, context.index):
        return None
    found = f"a `{opening}` that is not closed where line {mark.line + 1} goes on" if mark.line > context.line else None
    return _Place.of(context), found or f"a `{opening}` that is never closed", f"a closing `{_CLOSED_BY[opening]}`"


def _is_closed(text: str, start: int) -> bool:
    """Tell whether what opens at `start` is closed before the next line that is indented no further than its own."""
    line = text.rfind("\n", 0, start) + 1
    own = _indent(text[line:])
    depth, quote = 0, ""
    for at in range(start, len(text)):
        letter = text[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and text[at - 1] in " [{,:\n":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
            if not depth:
                return True
        elif letter == "\n" and text[at + 1 :].strip():
            following = text[at + 1 :]
            if _indent(following) <= own and following.lstrip()[0] not in "]}":
                return False
    return False


def _line_without_colon(error: MarkedYAMLError, text: str) -> _Found | None:
    """Return a line that has no colon, so that it was read together with the next."""
    mark = error.problem_mark
    if error.context == "while scanning a simple key" and error.context_mark is not None:
        line = error.context_mark.line
    elif mark is not None and mark.line > 0 and "mapping values are not allowed" in (error.problem or ""):
        line = mark.line - 1
    else:
        return None
    lines = text.splitlines()
    written = lines[line].strip()
    if not written or ":" in written or written[0] in "-#'\"[{|>":
        return None
    alike = mark is None or line == mark.line or _indent(lines[line]) <= _indent(lines[mark.line])
    if not alike:
        return None
    shown = written if len(written) <= 40 else f"{written[:37]}..."
    return _Place(line + 1, _indent(lines[line]) + 1), f"`{shown}`, which has no colon", "`key: value` or `key:`"


def _indented_further(error: MarkedYAMLError, text: str) -> _Found | None:
    """Return a key that is indented further than the one above it, which already has a value."""
    mark = error.problem_mark
    if mark is None or mark.line == 0 or "mapping values are not allowed" not in (error.problem or ""):
        return None
    lines = text.splitlines()
    own, above = _indent(lines[mark.line]), _indent(lines[mark.line - 1])
    if own <= above or ":" in lines[mark.line][: mark.column]:
        return None
    return (
        _Place(mark.line + 1, own + 1),
        "a key that is indented further than the one above it",
        "the same indentation",
    )


def _unknown_alias(error: MarkedYAMLError, text: str) -> _Found | None:
    problem, mark = error.problem or "", error.problem_mark
    if "undefined alias" not in problem or mark is None:
        return None
    name = problem.rsplit("'", 2)[-2]
    known = [token.value for token in _tokens(text) if isinstance(token, AnchorToken)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f" (did you mean `*{near[0]}`?)" if near else ""
    expected = f"an anchor `&{name}` above it{hint}, or quotes around text that begins with `*`"
    return _Place.of(mark), f"undefined alias '{name}'", expected


def _unreadable_value(error: Exception, text: str, file: str) -> Problem:
    """Return a value that looks like a date or a number and is none."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError:
        return Problem((), str(error), "valid YAML", file=file)
    for node in _scalars(root, set()):
        if node.style is None:
            try:
                YAML(typ="safe", pure=True).load(node.value)
            except ValueError as why:
                place, found = _Place.of(node.start_mark), f"{node.value} ({why})"
                return _problem(file, place, found, "a date or number that there is, or quotes around text")
            except YAMLError:
                continue
    return Problem((), str(error), "valid YAML", file=file)


def _scalars(node: Node | None, seen: set[int]) -> Iterator[ScalarNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(key, seen)
            yield from _scalars(value, seen)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _scalars(item, seen)


def _tokens(text: str) -> Iterator[Token]:
    """Yield the tokens that can be read."""
    try:
        yield from YAML(typ="safe", pure=True).scan(text)
    except YAMLError:
        return


def _tab_in_indent(text: str, line: int) -> _Place | None:
    lines = text.splitlines()
    written = lines[line] if line < len(lines) else ""
    indent = written[: len(written) - len(written.lstrip())]
    return _Place(line + 1, indent.index("\t") + 1) if "\t" in indent else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _problem(file: str, place: _Place, found: str, expected: str) -> Problem:
    return Problem((), found, expected, file=file, line=place.line, column=place.column)
