"""Lays the pages of the site out in a folder, with their links leading to one another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath

from loom_dev.site.markdown import with_links, with_lists
from loom_dev.site.nav import NAV, Entries, decisions, pages, place_of

ASSETS = ("docs/images", "docs/schemas")
"""Folders of files that pages lead to, and that are no pages."""


def stage(root: Path, folder: Path) -> None:
    """Write the pages of the repository at `root`, and the configuration of the site, into `folder`, which is made
    anew."""
    shutil.rmtree(folder / "pages", ignore_errors=True)
    for source in [*pages(), *decisions(root)]:
        target = folder / "pages" / place_of(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page_of(root, source), encoding="utf-8")
    for asset in ASSETS:
        if (root / asset).is_dir():
            shutil.copytree(root / asset, folder / "pages" / asset.removeprefix("docs/"))
    shutil.copy(root / "dev/site/loom.css", folder / "pages")
    settings = (root / "dev/site/mkdocs.yml").read_text(encoding="utf-8")
    nav = [*_written(NAV), {"Decisions": [place_of(source) for source in decisions(root)]}]
    (folder / "mkdocs.yml").write_text(f"{settings}\nnav: {json.dumps(nav)}\n", encoding="utf-8")


def page_of(root: Path, source: str) -> str:
    """Return the text of a page, whose links lead to other pages and files of the site. A link to anything else of
    the repository becomes its words."""
    here = PurePosixPath(place_of(source)).parent
    there = {*pages(), *decisions(root)}

    def place(path: str) -> str | None:
        target = os.path.normpath(PurePosixPath(source).parent / path)
        if (root / target).is_dir() and f"{target}/README.md" in there:
            target = f"{target}/README.md"
        if target in there:
            return os.path.relpath(place_of(target), here)
        if target.startswith(tuple(f"{asset}/" for asset in ASSETS)) and (root / target).is_file():
            return os.path.relpath(target.removeprefix("docs/"), here)
        return None

    return with_lists(with_links((root / source).read_text(encoding="utf-8"), place))


def _written(entries: Entries) -> list[dict[str, object]]:
    return [{title: place_of(entry) if isinstance(entry, str) else _written(entry)} for title, entry in entries.items()]
