"""Runs the transformer as a process of its own: `python -m loom_transformer`."""

from __future__ import annotations

from loom_common.service import entry


def run() -> None:
    """Run until told to stop."""
    entry.begin()
    from loom_common.service.process import main
    from loom_transformer.service import build

    main("transformer", build)


if __name__ == "__main__":
    run()
