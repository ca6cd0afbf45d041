"""Writes docs/pipeline.md, docs/connectors.md and docs/cli.md.

With `--check` it writes nothing, and fails where they differ."""

from __future__ import annotations

import sys
from pathlib import Path

from loom_dev.reference.cli_page import cli_page
from loom_dev.reference.connectors_page import connectors_page
from loom_dev.reference.pipeline_page import pipeline_page

FOLDER = Path("docs")


def main(arguments: list[str]) -> int:
    pages = {"pipeline.md": pipeline_page, "connectors.md": connectors_page, "cli.md": cli_page}
    wanted = {FOLDER / name: page() for name, page in pages.items()}
    if "--check" in arguments:
        stale = [
            path for path, page in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != page
        ]
        for path in stale:
            print(f"{path}: differs from the code. Run `make docs`.", file=sys.stderr)
        return 1 if stale else 0
    for path, page in wanted.items():
        path.write_text(page, encoding="utf-8")
    print(", ".join(map(str, wanted)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
