"""`python -m loom_extractor` runs the extractor as a process of its own."""

from __future__ import annotations

from loom_common.service import entry


def run() -> None:
    """Run until SIGTERM or SIGINT."""
    entry.begin()
    from loom_common.service.process import main
    from loom_extractor.service import build

    main("extractor", build)


if __name__ == "__main__":
    run()
