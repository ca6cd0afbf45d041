"""Says how long the tests measure: short by default; `make faults` measures what was promised."""

from __future__ import annotations

import os

LONG = os.environ.get("LOOM_FAULTS") == "long"
