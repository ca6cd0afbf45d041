"""Runs the evaluator as a process of its own: `python -m loom_evaluator`."""

from __future__ import annotations

from loom_common.service import entry


def run() -> None:
    """Run until told to stop."""
    entry.begin()
    from loom_common.service.process import main
    from loom_evaluator.service import build

    main("evaluator", build)


if __name__ == "__main__":
    run()
