"""Defines the template language of prompts: how values become text, and how large an expression may grow.

In a prompt, a value that is not text is written as JSON: in UTF-8, with fields in order, and without escapes for HTML.
An expression whose result would be larger than any prompt is refused before it is computed, because no time limit and
no signal can interrupt such an operation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import jinja2
from jinja2 import compiler, filters, nodes
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

LARGEST_TEXT = 64 * 1024 * 1024
"""The most characters of a prompt, and of a text or list inside its expressions."""
LARGEST_NUMBER = 1_000_000
"""The most bits of an integer."""

_WIDTH = re.compile(r"\d{7,}")
_NESTED_FIELD = re.compile(r"\{[^{}]*\{")
_TAKE_A_SIZE = ("batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap")
"""Filters whose integer arguments determine the size of their result."""
_PADDING = ("center", "expandtabs", "ljust", "rjust", "zfill")


class TooLarge(ValueError):
    """Reports an expression whose result would be larger than any prompt."""

    def __init__(self) -> None:
        super().__init__(f"an expression would grow beyond {LARGEST_TEXT:,} characters")


def as_text(value: Any) -> Any:
    """Return a value as a prompt shows it: text unchanged, any other JSON value as JSON."""
    if isinstance(value, str | jinja2.Undefined | Macro):
        return value
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return as_json(value)
    if isinstance(value, Iterator) or (isinstance(value, Iterable) and not isinstance(value, Sequence | bytes)):
        return as_json(list(value))
    return value


def as_json(value: Any, indent: int | None = None) -> str:
    """Return JSON in the form that models read best: UTF-8, fields in order, no unnecessary escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises for a missing name
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Iterable) and not isinstance(value, bytes) else str(value)


class Environment(ImmutableSandboxedEnvironment):
    """Represents the sandbox of templates. Neither a pipeline's template nor a record's data can reach Python
    objects."""

    intercepted_binops = frozenset(("*", "**", "+", "%"))

    def __init__(self, undefined: type[jinja2.Undefined]) -> None:
        super().__init__(undefined=undefined, autoescape=False, keep_trailing_newline=True, finalize=as_text)
        self.filters["tojson"] = as_json
        self.filters["string"] = lambda value: value if isinstance(value, str) else str(as_text(value))
        for name in _TAKE_A_SIZE:
            self.filters[name] = _with_small_numbers(self.filters[name])
        self.filters["join"] = _join
        self.filters["replace"] = _replace
        self.filters["format"] = _format

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the record's field in preference to a method of the mapping."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else super().getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def concatenated(self, parts: Sequence[Any]) -> str:
        """Return the result of the operator `~`."""
        texts = [str(as_text(part)) for part in parts]
        _see_that_it_fits(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        match operator:
            case "*":
                _see_that_product_fits(left, right)
            case "**":
                _see_that_power_fits(left, right)
            case "+" if _has_length(left) and _has_length(right):
                _see_that_it_fits(len(left) + len(right))
            case "%" if isinstance(left, str):
                _see_that_format_fits(left)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja names them
        if isinstance(text := getattr(__obj, "__self__", None), str):
            _see_that_method_fits(text, __obj.__name__, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        formatted = super().wrap_str_format(value)
        if formatted is None:
            return None
        template: str = value.__self__
        if _WIDTH.search(template) or _NESTED_FIELD.search(template):
            raise TooLarge
        return formatted


class _Code(compiler.CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: compiler.Frame) -> None:  # noqa: N802 - as Jinja names it
        """Compile `~` so that it converts its operands to text as `{{ }}` does."""
        self.write("environment.concatenated((")
        for operand in node.nodes:
            self.visit(operand, frame)
            self.write(", ")
        self.write("))")


Environment.code_generator_class = _Code


def _with_small_numbers(apply: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(apply)
    def applied(*args: Any, **kwargs: Any) -> Any:
        _see_that_numbers_are_small((*args, *kwargs.values()))
        return apply(*args, **kwargs)

    return applied


@jinja2.pass_eval_context
def _join(context: nodes.EvalContext, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(context.environment, attribute), value)
    separator, texts = str(as_text(d)), [str(as_text(each)) for each in value]
    _see_that_it_fits(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _replace(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, before, after = (str(as_text(each)) for each in (s, old, new))
    _see_that_it_fits(len(text) + (text.count(before) + 1) * len(after))
    return text.replace(before, after, -1 if count is None else count)


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    _see_that_format_fits(str(value))
    return filters.do_format(value, *args, **kwargs)


def _see_that_it_fits(size: int) -> None:
    if size > LARGEST_TEXT:
        raise TooLarge


def _has_length(value: Any) -> bool:
    return isinstance(value, str | list | tuple)


def _see_that_product_fits(left: Any, right: Any) -> None:
    for parts, times in ((left, right), (right, left)):
        if _has_length(parts) and isinstance(times, int):
            _see_that_it_fits(len(parts) * times)
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > LARGEST_NUMBER:
        raise TooLarge


def _see_that_power_fits(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > LARGEST_NUMBER:
        raise TooLarge


def _see_that_format_fits(template: str) -> None:
    if _WIDTH.search(template) or "*" in template:
        raise TooLarge


def _see_that_numbers_are_small(arguments: Iterable[Any]) -> None:
    if any(isinstance(each, int) and abs(each) > LARGEST_NUMBER for each in arguments):
        raise TooLarge


def _see_that_method_fits(text: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Check the result size of the text methods whose results can exceed the text and arguments together."""
    given = (*args, *kwargs.values())
    if method in _PADDING:
        _see_that_numbers_are_small(given)
    elif method == "replace" and len(args) > 1:
        _see_that_it_fits(len(text) + (text.count(str(args[0])) + 1) * len(str(args[1])))
    elif method == "join" and args and isinstance(args[0], Sequence):
        _see_that_it_fits(len(text) * len(args[0]))
    elif method == "translate" and args and isinstance(args[0], Mapping):
        _see_that_it_fits(len(text) * max((len(each) for each in args[0].values() if isinstance(each, str)), default=1))


def plain_text(parts: Iterable[str]) -> str:
    """Join a rendered template to one text. Raises `TooLarge`."""
    size, kept = 0, list[str]()
    for part in parts:
        size += len(part)
        _see_that_it_fits(size)
        kept.append(part)
    return "".join(kept)
