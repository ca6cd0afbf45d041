"""Tests the pages of the documentation site as they are laid out for its renderer, which CI does not run."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from loom_dev.site.markdown import with_links, with_lists
from loom_dev.site.nav import decisions, pages, place_of
from loom_dev.site.staging import page_of, stage
from support.documents import PAGES, ROOT

SOURCES = [*pages(), *decisions(ROOT)]


def test_every_document_stands_in_the_navigation_once():
    known = {page.relative_to(ROOT).as_posix() for page in PAGES} | {"CHANGELOG.md"}
    assert sorted(pages()) == sorted(known)
    assert len({place_of(source) for source in SOURCES}) == len(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_every_link_of_a_page_leads_to_a_page_or_a_heading_of_the_site(source):
    places = {place_of(each): each for each in SOURCES}
    here = PurePosixPath(place_of(source))
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page_of(ROOT, source))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = _joined(here.parent, path) if path else here.as_posix()
        if found in places and anchor:
            assert anchor in _anchors(ROOT / places[found]), target
        assert found in places or (ROOT / "docs" / found).is_file(), target


def _joined(folder, path):
    parts = []
    for part in (folder / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _anchors(page):
    headings = re.findall(r"^#+ (.+)$", _prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    bare = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each).lower() for each in headings)
    return {re.sub(r"[^\w\- ]", "", each).strip().replace(" ", "-") for each in bare}


def _prose(text):
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_the_pages_are_written_with_their_settings(tmp_path):
    stage(ROOT, tmp_path)
    written = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.md")}
    assert written == {place_of(source) for source in SOURCES}
    assert '"Recover": "how-to/recover.md"' in (tmp_path / "mkdocs.yml").read_text()
    assert (tmp_path / "pages/schemas/files/tests.json").is_file()


def test_a_list_is_written_as_the_renderer_reads_lists():
    github = (
        "Words:\n- one\n  goes on\n  - inner\n\n  ```\n  - code\n  ```\n- two\n\nEnd\n    code\n1. first\n\n   second\n"
    )
    site = (
        "Words:\n\n- one\n    goes on\n    - inner\n\n    ```\n    - code\n    ```\n- two\n\n"
        "End\n    code\n\n1. first\n\n    second\n"
    )
    assert with_lists(github) == site


def test_a_link_to_what_is_no_page_becomes_its_words_and_code_stays():
    text = "See [a](a.md#b), ![p](p.png) and [x](../x).\n```\n[x](../x)\n```\n[y](https://y.example)"
    linked = with_links(text, {"a.md": "z/a.md", "p.png": "p.png"}.get)
    assert linked == ("See [a](z/a.md#b), ![p](p.png) and x.\n```\n[x](../x)\n```\n[y](https://y.example)")
