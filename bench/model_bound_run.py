"""Times one embedded run in this process, CSV -> model -> gate -> SQLite, from the request to the run's end."""

from __future__ import annotations

import sys

from bench.embedded_run import report
from bench.model_bound_pipeline import definition

if __name__ == "__main__":
    source, database, base_url = sys.argv[1:4]
    report(definition(source, f"sqlite:///{database}?table=reviews", base_url))
