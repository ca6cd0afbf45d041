"""Tests what becomes, before a run, of fields that a pipeline passes on as they are."""

import pytest

from loom_common.domain.checks.passed_on import missing_columns, with_passed_on
from loom_common.domain.definition.reader import parse
from loom_common.domain.values.fields import ColumnFit, Fields

SOURCE = Fields(("id", "review", "stars"), certain=True)
THERE = [
    ColumnFit("id", None, "integer", "as it is", fits=True),
    ColumnFit("review", None, "text", "not written", fits=True),
    ColumnFit("noted", None, "text", "not written", fits=True),
]


def pipeline(*, transform=None, extract=None, **load):
    return parse(
        {
            "name": "p",
            "version": "1",
            "extract": {"source": "in.csv", **(extract or {})},
            "transform": transform or {"type": "passthrough"},
            "load": {"destination": "postgres://${U}:${P}@db/shop?table=t", **load},
        }
    )


def done(fits):
    return {fit.name: (fit.done, fit.fits) for fit in fits}


def test_a_column_that_the_table_lacks_is_refused_with_column_table_and_remedy():
    check = missing_columns(pipeline(), SOURCE, THERE)
    assert not check.ok
    assert not check.doubtful
    for words in (
        "postgres://db/shop?table=t has no column 'stars'",
        "columns are id, review, noted",
        "ALTER TABLE",
        "evolve",
    ):
        assert words in check.detail
    assert done(with_passed_on(pipeline(), SOURCE, THERE)) == {
        "id": ("as it is", True),
        "review": ("as it is", True),
        "noted": ("not written", True),
        "stars": ("missing: a run is refused", False),
    }


def test_a_misspelt_column_is_told_with_the_one_that_was_meant():
    fields = Fields(("id", "reviews"), certain=True)
    assert "Did you mean 'review'?" in missing_columns(pipeline(), fields, THERE).detail


@pytest.mark.parametrize(
    ("written", "fields", "fits"),
    [
        (pipeline(), Fields(("id", "review"), certain=True), THERE),
        (pipeline(), None, THERE),
        (pipeline(), SOURCE, []),  # a file takes whatever comes
        (pipeline(), SOURCE, [ColumnFit("id", None, None, "created by its values", fits=True)]),
        (pipeline(transform={"type": "python", "function": "m:f"}), SOURCE, THERE),
        (pipeline(transform={"type": "passthrough", "output": {"id": "string"}}), SOURCE, THERE),
        (pipeline(schema={"columns": "evolve"}), SOURCE, THERE),
        (pipeline(schema={"columns": "discard_value"}), SOURCE, THERE),
        (pipeline(extract={"schema": {"columns": "discard_value"}}), SOURCE, THERE),
    ],
)
def test_nothing_is_missing_where_columns_are_there_made_declared_or_left_to_a_contract(written, fields, fits):
    assert missing_columns(written, fields, fits) is None


def test_a_table_that_may_not_evolve_is_refused_whatever_its_rows_may():
    assert not missing_columns(pipeline(schema={"store": False}), SOURCE, THERE).ok


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        (pipeline(), Fields(SOURCE.names, certain=False)),
        (pipeline(on_failure="fallback", fallback="rest.csv"), SOURCE),
    ],
)
def test_what_may_go_well_for_some_records_is_only_doubted(written, fields):
    check = missing_columns(written, fields, THERE)
    assert check.ok
    assert check.doubtful
