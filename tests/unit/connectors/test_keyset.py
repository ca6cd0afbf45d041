"""Tests cursors of pages by key."""

from __future__ import annotations

import pytest

from loom_connectors.sql.keyset_paging import KeyCursor, advance, ordinals


@pytest.mark.parametrize(
    ("before", "keys", "limit", "after", "over"),
    [
        (KeyCursor(), [], 2, KeyCursor(), True),
        (KeyCursor(), [(1,), (2,)], 2, KeyCursor(last=(2,), given=1), False),
        (KeyCursor(), [(1,), (1,)], 2, KeyCursor(last=(1,), given=2), False),
        (KeyCursor(), [(1,)], 2, KeyCursor(last=(1,), given=1), True),
        (KeyCursor(last=(1,), given=2), [(1,), (1,), (1,), (1,)], 2, KeyCursor(last=(1,), given=4), False),
        (KeyCursor(last=(1,), given=2), [(1,), (1,), (1,), (2,)], 2, KeyCursor(last=(2,), given=1), False),
        (KeyCursor(last=(1,), given=2), [(1,), (1,)], 2, KeyCursor(last=(1,), given=2), True),
        (KeyCursor(nulls=True), [("a",)], 1, KeyCursor(nulls=True, last=("a",), given=1), False),
    ],
)
def test_a_cursor_counts_the_rows_of_its_key(before, keys, limit, after, over):
    assert advance(before, keys, limit) == (after, over)


def test_a_cursor_survives_json():
    cursor = KeyCursor(nulls=False, last=("a", 1), given=3)
    assert KeyCursor.of(cursor.json) == cursor
    assert KeyCursor.of(None) == KeyCursor()


def test_rows_of_one_key_are_numbered():
    assert ordinals([(1,), (1,), (2,), (1,)]) == [1, 2, 1, 1]
