"""`python -m loom_dev.site FOLDER` writes the pages of the site into a folder, for `mkdocs build` to render."""

from __future__ import annotations

import sys
from pathlib import Path

from loom_dev.site.staging import stage

if __name__ == "__main__":
    stage(Path.cwd(), Path(sys.argv[1]))
