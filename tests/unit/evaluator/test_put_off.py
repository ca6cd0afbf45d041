"""Tests that a module can wait to be imported until something of it is used."""

import sys

from loom_evaluator.evaluators.arbiter_package import put_off


def test_a_module_that_is_put_off_is_imported_when_something_of_it_is_used(tmp_path, monkeypatch):
    (tmp_path / "dear_prices.py").write_text("model_cost = {'m': 1}\n")
    (tmp_path / "its_user.py").write_text("import dear_prices\ndef cost(): return dear_prices.model_cost['m']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with put_off("dear_prices"):
        import its_user  # type: ignore[import-not-found]  # noqa: F401
    assert "dear_prices" not in sys.modules
    assert sys.modules["its_user"].cost() == 1
    assert "dear_prices" in sys.modules


def test_a_module_that_is_there_already_is_given_as_it_is():
    import colorsys

    with put_off("colorsys"):
        assert sys.modules["colorsys"] is colorsys
    assert sys.modules["colorsys"] is colorsys
