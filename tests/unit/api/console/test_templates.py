"""Tests that every page can be made at all, also those that only a cluster has."""

from __future__ import annotations

from loom_api.console.shown.rendering import _TEMPLATES


def test_every_template_can_be_compiled():
    names = _TEMPLATES.list_templates(extensions=["html"])
    assert len(names) > 30
    for name in names:
        _TEMPLATES.get_template(name)
