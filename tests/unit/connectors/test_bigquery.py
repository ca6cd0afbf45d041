"""Tests what BigQuery is sent, without a server: names, values, scripts, and what its errors mean."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.errors import AccessRefused, ConfigurationError, Conflict, DependencyUnavailable, PathNotAllowed
from loom_common.errors import DestinationError as Wrong
from loom_common.errors import Timeout as Late
from loom_connectors.bigquery.address import Address
from loom_connectors.bigquery.errors import ENTERED, BigQueryError, meaning
from loom_connectors.bigquery.statements import Statement, quoted, transaction
from loom_connectors.bigquery.tables import wider
from loom_connectors.bigquery.writing import texts_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Row
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.warehouse.statements import compared
from loom_connectors.values import UnfitValue


def address(folder, url="bigquery://my-project/shop?table=t", **environ):
    return Address.of(url, ConnectorContext(folder, Credentials({"env": EnvProvider(environ)})))


def test_the_values_of_a_script_are_numbered_through_and_names_stay():
    script = transaction(
        [
            Statement("UPDATE l SET loaded = @loom_1 WHERE run_id = @loom_2", (0, "r")),
            Statement(f"INSERT INTO t ({quoted('a@loom_1`')}) SELECT @loom_1", ("x",)),
        ]
    )
    assert script.values == (0, "r", "x")
    assert script.sql == (
        "BEGIN TRANSACTION;\nUPDATE l SET loaded = @loom_1 WHERE run_id = @loom_2;\n"
        "INSERT INTO t (`a@loom_1\\``) SELECT @loom_3;\nCOMMIT TRANSACTION;"
    )


def test_a_key_of_two_columns_is_compared_column_by_column():
    assert compared(["a", "b"], ">=", ["1", "2"]) == "(a > 1 OR (a = 1 AND b >= 2))"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("bigquery://my-project", "names no project or no dataset"),
        ("bigquery://my-project/a/b?table=t", "names no project or no dataset"),
        ("bigquery://user:secret@my-project/shop", "names no project or no dataset"),
        ("bigquery://my-project/shop?tabel=t", "Did you mean 'table'"),
    ],
)
def test_a_url_that_names_no_dataset_is_refused(tmp_path, url, words):
    with pytest.raises(ConfigurationError, match=words) as found:
        address(tmp_path, url)
    assert "secret" not in str(found.value)


def test_credentials_are_in_no_text_and_no_file_out_of_the_project(tmp_path):
    found = address(tmp_path, "bigquery://my-project/shop?credentials=${KEY}", KEY='{"private_key": "hidden"}')
    assert found.credentials == '{"private_key": "hidden"}'
    assert "hidden" not in f"{found!r} {found.shown}"
    with pytest.raises(PathNotAllowed):
        address(tmp_path, "bigquery://my-project/shop?credentials_file=../key.json")


@pytest.mark.parametrize(
    ("status", "reason", "words", "kind"),
    [
        (400, "invalidQuery", f"Query error: {ENTERED} at [3:1]", Conflict),
        (400, "invalidQuery", "Transaction is aborted due to concurrent update against table p:d.t", Conflict),
        (403, "accessDenied", "Access Denied: Table p:d.t", AccessRefused),
        (403, "rateLimitExceeded", "Exceeded rate limits", DependencyUnavailable),
        (503, "backendError", "Try again", DependencyUnavailable),
        (0, "timeout", "it took too long", Late),
        (404, "notFound", "Not found: Table p:d.t", Wrong),
        (400, "invalidQuery", "Syntax error", Wrong),
    ],
)
def test_an_error_means_what_its_reason_says(tmp_path, status, reason, words, kind):
    found = meaning(BigQueryError(status, reason, words), address(tmp_path), Wrong)
    assert type(found) is kind
    assert "bigquery://my-project/shop" in str(found)


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        ("INT64", 2**63 - 1, str(2**63 - 1)),
        ("NUMERIC(5, 2)", "123.45", "123.45"),
        ("TIMESTAMP", "2024-02-29T10:00:00+02:00", "2024-02-29 10:00:00+02:00"),
        ("DATETIME", "2024-02-29", "2024-02-29 00:00:00"),
        ("TIME", "23:59", "23:59:00"),
        ("STRING", {"a": [1, "é"]}, '{"a":[1,"é"]}'),
        ("JSON", 2**64 - 1, str(2**64 - 1)),
        ("BYTES(2)", {"$bytes": "00ff"}, "00ff"),
    ],
)
def test_a_value_is_sent_as_text(declared, value, text):
    assert texts_of([Row("r", {"c": value})], ["c"], {"c": declared}) == [[text]]


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        ("INT64", 2**63, "64 bits"),
        ("NUMERIC(5, 2)", "1234.5", "more digits"),
        ("STRING(2)", "abc", "characters"),
        ("JSON", {"n": [2**64]}, "64 bits"),
        ("BYTES(1)", {"$bytes": "00ff"}, "bytes"),
        ("STRING NOT NULL", None, "may not be NULL"),
        ("STRUCT", {"a": 1}, "cannot be loaded"),
        ("TIME", "10:00:00.0000001", "second"),
    ],
)
def test_what_the_column_would_change_or_refuse_is_refused_before(declared, value, words):
    with pytest.raises(UnfitValue, match=f"column c: .*{words}"):
        texts_of([Row("r", {"c": value})], ["c"], {"c": declared})


@pytest.mark.parametrize(
    ("declared", "values", "to"),
    [
        ("INT64", [2**63], "NUMERIC"),
        ("INT64", [1], None),
        ("INT64", ["0.5"], "NUMERIC"),
        ("INT64", ["x"], None),
        ("NUMERIC", ["1e-20"], "BIGNUMERIC"),
        ("NUMERIC(5, 2)", ["1234.5"], "NUMERIC"),
        ("STRING(2)", ["abc"], "STRING"),
        ("STRING(2)", ["ab"], None),
        ("FLOAT64", ["1e-20"], None),
    ],
)
def test_a_column_is_widened_to_the_narrowest_type_that_takes_both(declared, values, to):
    assert wider(declared, Needs.of(values)) == to
