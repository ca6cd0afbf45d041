"""Tests what is said, before a run, of each column that is written into a table."""

import pytest

from loom_connectors.sql.column_fit import fits_of, kind_of_type
from loom_connectors.sql.columns import Kind


def said(kind, declared, *, widens=False):
    (fit,) = fits_of({"a": kind}, {"a": declared}, str, adds=False, widens=widens)
    return fit.done, fit.fits


@pytest.mark.parametrize(
    ("kind", "declared", "words", "fits"),
    [
        (Kind.INTEGER, "integer", "as it is", True),
        (Kind.INTEGER, "DECIMAL(65,0)", "as a number", True),
        (Kind.TEXT, "character varying(20)", "as it is", True),
        (Kind.JSON, "TEXT", "as JSON text", True),
        (Kind.BOOLEAN, "longtext", "as text", True),
        (Kind.BOOLEAN, "tinyint(1)", "as it is", True),
        (None, "date", "as it is", True),
        (Kind.NUMBER, "bigint", "a value with a fraction is refused", False),
        (Kind.TEXT, "TIMESTAMP", "a text that does not read as TIMESTAMP is refused", False),
        (Kind.JSON, "integer[]", "a value that integer[] does not take is refused", False),
    ],
)  # fmt: skip
def test_a_declared_column_is_compared_with_the_one_that_is_there(kind, declared, words, fits):
    assert said(kind, declared) == (words, fits)


def test_what_evolves_is_told():
    assert said(Kind.NUMBER, "integer", widens=True) == ("widened where a value has a fraction", False)
    wanted = {"a": Kind.TEXT, "b": None}
    assert [each.done for each in fits_of(wanted, {}, str, adds=False, widens=False)] == [
        "created as text",
        "created by its values",
    ]
    added = fits_of(wanted, {"z": "date"}, str, adds=True, widens=False)
    assert [(each.done, each.fits) for each in added] == [
        ("added as text", True), ("added by its values", True), ("not written", True),
    ]  # fmt: skip
    (missing,) = [each for each in fits_of({"a": None}, {"z": "date"}, str, adds=False, widens=False) if not each.fits]
    assert missing.done == "missing: a run is refused"


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("UBIGINT", Kind.INTEGER), ("int(11) unsigned", Kind.INTEGER), ("HUGEINT", Kind.INTEGER),
        ("double precision", Kind.NUMBER), ("REAL", Kind.NUMBER), ("mediumtext", Kind.TEXT), ("JSON TEXT", Kind.JSON),
        ("jsonb", Kind.JSON), ("interval", None), ("point", None), ("varbinary(9)", Kind.BYTES), ("text[]", None),
    ],
)  # fmt: skip
def test_types_are_for_kinds_of_values(declared, kind):
    assert kind_of_type(declared) == kind
