"""Tests that locations are shown without what they hide."""

import pytest

from loom_common.domain.values.urls import clear_text_password, redacted, scheme_of


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("postgres://u:p@host/db?table=t", "postgres://host/db?table=t"),
        ("postgres://${U}:${P}@host/db", "postgres://host/db"),
        ("s3://bucket/x?secret_key=abc&region=eu", "s3://bucket/x?secret_key=***&region=eu"),
        ("data/reviews.csv", "data/reviews.csv"),
    ],
)
def test_a_location_is_shown_without_secrets(location, shown):
    assert redacted(location) == shown


@pytest.mark.parametrize(
    ("location", "clear"),
    [
        ("postgres://u:p@h/d", True),
        ("postgres://u:${P}@h/d", False),
        ("postgres://u@h/d", False),
        ("a.csv", False),
        ("s3://b/x?access_key_id=me&secret_access_key=word", True),
        ("s3://b/x?access_key_id=${K}&secret_access_key=${S}", False),
        ("az://b/x?account=me&account_key=word", True),
    ],
)
def test_a_password_in_clear_is_noticed(location, clear):
    assert clear_text_password(location) is clear


@pytest.mark.parametrize(
    ("location", "scheme"),
    [("postgres://h/d", "postgres"), ("a/b.CSV", "csv"), ("dir.d/file", ""), ("x.jsonl", "jsonl")],
)
def test_a_location_says_what_it_is(location, scheme):
    assert scheme_of(location) == scheme
