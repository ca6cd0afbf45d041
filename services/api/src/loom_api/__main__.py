"""`python -m loom_api` runs the API as a process of a cluster."""

from __future__ import annotations

from loom_common.service import entry


def run() -> None:
    """Run until SIGTERM or SIGINT."""
    entry.begin()
    from loom_api.service import build
    from loom_common.service.process import main

    main("api", build)


if __name__ == "__main__":
    run()
