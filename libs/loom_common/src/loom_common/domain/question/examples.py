"""Reads files of solved examples: what goes in, and what should come out, with the line of each.

A row is split by three rules. Where it has `output`, that is the output. Otherwise the fields of the declared output
are. What is left is the input, or what stands beneath `input` where that is an object. Every output has to fit the
declared one, since a model repeats what it is shown."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import PurePath
from typing import Any

from loom_common.domain.json_values import exact_json
from loom_common.domain.json_values.exact_json import UnfitJson
from loom_common.domain.json_values.kinds import kind_of

LARGEST = 4 * 1024 * 1024
"""The most characters of a file of examples. It travels with every plan, and all of it is kept in memory."""
MOST = 10_000
"""The most examples of a file."""


@dataclass(frozen=True, slots=True)
class Example:
    """Holds one solved example."""

    input: Mapping[str, Any]
    output: Mapping[str, Any] | str
    """A text where the transform's output is free text."""
    line: int
    """The 1-based line of the file that it begins on."""

    @property
    def answer(self) -> str:
        """Return the output as a model would answer it."""
        return self.output if isinstance(self.output, str) else exact_json.dumps(self.output).decode()


@dataclass(frozen=True, slots=True)
class ExampleMistake:
    """Describes a mistake in a file of examples."""

    line: int
    found: str
    expected: str


class UnreadableExamples(ValueError):
    """Reports that nothing can be read of a file of examples, from one line on."""

    def __init__(self, line: int, found: str, expected: str) -> None:
        self.mistake = ExampleMistake(line, found, expected)
        super().__init__(f"line {line}: found {found}; expected {expected}")


def read_examples(text: str, name: str, schema: Mapping[str, Any] | None) -> tuple[list[Example], list[ExampleMistake]]:
    """Return the examples of a file and every mistake in it. `name` tells the format by its ending, and `schema` is the
    JSON Schema of the declared output; None for free text."""
    examples: list[Example] = []
    mistakes: list[ExampleMistake] = []
    if len(text) > LARGEST:
        return [], [ExampleMistake(1, f"{len(text):,} characters", f"at most {LARGEST:,} characters of examples")]
    misfit = _misfit_of(schema)
    try:
        for line, row in _rows(text, name):
            if len(examples) + len(mistakes) >= MOST:
                mistakes.append(ExampleMistake(line, "another example", f"at most {MOST:,} examples"))
                break
            example = _example(line, row, schema, from_text=PurePath(name).suffix.lower() == ".csv")
            if isinstance(example, Example) and (words := misfit(example.output)) is not None:
                example = ExampleMistake(line, words, "an output that fits the declared one")
            examples.append(example) if isinstance(example, Example) else mistakes.append(example)
    except UnreadableExamples as error:
        mistakes.append(error.mistake)
    if not examples and not mistakes:
        mistakes.append(ExampleMistake(1, "no example", "examples: rows of inputs and outputs"))
    return examples, mistakes


def _example(line: int, row: Any, schema: Mapping[str, Any] | None, *, from_text: bool) -> Example | ExampleMistake:
    if not isinstance(row, Mapping):
        return ExampleMistake(line, kind_of(row), "an object: the fields of an input, and `output`")
    declared: Mapping[str, Any] = {} if schema is None else schema.get("properties", {})
    if "output" in row:
        output, rest = row["output"], {name: value for name, value in row.items() if name != "output"}
        if from_text and schema is not None:
            try:
                output = exact_json.loads(str(output))
            except (ValueError, UnfitJson) as error:
                return ExampleMistake(line, f"{str(output)[:60]!r} in `output` ({error})", "a JSON object")
    elif schema is None:
        return ExampleMistake(line, f"no `output` among {_names(row)}", "`output`, with the text of the answer")
    else:
        output = {
            name: _typed(value, declared[name]) if from_text else value
            for name, value in row.items()
            if name in declared
        }
        rest = {name: value for name, value in row.items() if name not in declared}
        if not output:
            return ExampleMistake(line, f"no output among {_names(row)}", f"`output`, or the fields {_names(declared)}")
    if schema is None and not isinstance(output, str):
        return ExampleMistake(line, f"an `output` that is no text: {str(output)[:60]}", "the text of the answer")
    given = rest.get("input", rest)
    if not isinstance(given, Mapping):
        return Example(rest, output, line) if from_text else ExampleMistake(line, "an `input` that is no object", "one")
    return Example(given, output, line)


def _misfit_of(schema: Mapping[str, Any] | None) -> Any:
    if schema is None:
        return lambda output: None if output.strip() else "an empty `output`"
    from loom_common.domain.json_values.schema_check import SchemaCheck  # many pipelines have no examples

    check = SchemaCheck(schema)

    def misfit(output: Any) -> str | None:
        error = next(iter(check.misfits(output)), None)
        if error is None:
            return None
        field = error.json_path.removeprefix("$").removeprefix(".")
        return f"{field}: {error.message}" if field else str(error.message)

    return misfit


def _typed(text: str, schema: Any) -> Any:
    """Return a value of a CSV file as the declared type has it; the text itself where it is none of that type."""
    kinds = schema.get("type") if isinstance(schema, Mapping) else None
    listed = kinds if isinstance(kinds, list) else [kinds]
    if "null" in listed and not text:
        return None
    if kinds is None or "string" in listed:
        return text
    try:
        return exact_json.loads(text.lower() if "boolean" in listed else text)
    except (ValueError, UnfitJson):
        return text


def _rows(text: str, name: str) -> Iterator[tuple[int, Any]]:
    match PurePath(name).suffix.lower():
        case ".csv":
            yield from _of_csv(text)
        case ".jsonl" | ".ndjson":
            yield from _of_lines(text)
        case ".json" | ".yaml" | ".yml":
            yield from _of_yaml(text)
        case other:
            found = f"a file that ends in {other or 'nothing'}"
            raise UnreadableExamples(1, found, "a file of examples: .csv, .jsonl, .json or .yaml")


def _of_csv(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        line = reader.line_num + 1
        for values in reader:
            if values and len(values) != len(header):
                raise UnreadableExamples(line, f"{len(values)} values", f"{len(header)}, as the header has")
            if values:
                yield line, dict(zip(header, values, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableExamples(reader.line_num, str(error), "CSV") from None


def _of_lines(text: str) -> Iterator[tuple[int, Any]]:
    for line, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            yield line, exact_json.loads(row)
        except (json.JSONDecodeError, UnfitJson) as error:
            raise UnreadableExamples(line, f"no JSON ({error})", "one JSON object on each line") from None


def _of_yaml(text: str) -> Iterator[tuple[int, Any]]:
    """Read a list in YAML 1.2, of which JSON is a part. Aliases are refused: a few of them can make a huge value."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.nodes import SequenceNode

    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        if root is None:
            return
        if not isinstance(root, SequenceNode):
            raise UnreadableExamples(1, "no list", "a list of examples")
        _see_no_aliases(root, set())
        for node in root.value:
            value = yaml.constructor.construct_document(node)
            yield node.start_mark.line + 1, exact_json.loads(exact_json.dumps(value).decode())
    except MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise UnreadableExamples(line, error.problem or "a syntax error", "YAML or JSON") from None
    except (YAMLError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, UnreadableExamples):
            raise
        raise UnreadableExamples(1, f"values that are not JSON ({error})", "a list of examples") from None


def _see_no_aliases(node: Any, seen: set[int]) -> None:
    if id(node) in seen:
        raise UnreadableExamples(node.start_mark.line + 1, "an alias of this value", "each value written out")
    seen.add(id(node))
    if isinstance(node.value, list):
        for each in node.value:
            for part in each if isinstance(each, tuple) else (each,):
                _see_no_aliases(part, seen)


def _names(row: Iterable[Any]) -> str:
    return ", ".join(map(str, row)) or "nothing"
