"""Writes the JSON Schema of every message to docs/schemas, for clients without Python, and those of files that people
write to docs/schemas/files, for their editors.

`python -m loom_dev.schemas` writes them. With `--check` it writes nothing, and fails where they differ."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from loom.testing.definition.suite import Suite
from loom_common.contracts.encoding.message_types import MESSAGES

FOLDER = Path("docs/schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Return the content of each file by its name, one for each message type."""
    documents = {
        f"{message.type}.json": {"$schema": DIALECT, "$id": message.type, **message.model_json_schema()}
        for message in MESSAGES
    }
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in documents.items()}


def file_schemas() -> dict[str, str]:
    """Return the content of the schema of each kind of file that people write, by its name."""
    tests = {"$schema": DIALECT, "$id": "loom.tests", **Suite.model_json_schema(by_alias=True)}
    return {"files/tests.json": json.dumps(tests, indent=2, ensure_ascii=False) + "\n"}


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each change that would make `found` equal to `wanted`."""
    return [
        f"{name}: {'missing' if name not in found else 'no such message' if name not in wanted else 'differs'}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]


def main(arguments: list[str]) -> int:
    wanted = schemas() | file_schemas()
    files = [*FOLDER.glob("*.json"), *FOLDER.glob("files/*.json")]
    found = {path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in files}
    if "--check" in arguments:
        for line in (changes := differences(wanted, found)):
            print(f"{FOLDER}/{line}", file=sys.stderr)
        if changes:
            print("The messages or files have changed and their schemas have not. Run `make docs`.", file=sys.stderr)
        return 1 if changes else 0
    (FOLDER / "files").mkdir(parents=True, exist_ok=True)
    for name in found.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, content in wanted.items():
        (FOLDER / name).write_text(content, encoding="utf-8")
    print(f"{len(wanted)} schemas in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
