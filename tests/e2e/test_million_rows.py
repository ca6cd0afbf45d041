"""Brings 1,000,000 rows into Parquet on S3 in bounded memory. It takes minutes: only `make memory` collects it."""

from __future__ import annotations

import time

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.buckets import KEYS, bucket_of
from support.measured_runs import measured
from support.projects import project, reviews

PARQUET_LIMIT_MB = 200.0
"""Limits an embedded run that writes Parquet into a bucket."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("source", ["csv", "postgres"])
async def test_embedded_a_million_rows_into_parquet_on_s3(tmp_path, s3_environment, postgres_url, source):
    million = 1_000_000
    result = f"s3://tests/${{S3_FOLDER}}/out.parquet{KEYS}"
    made = project(
        tmp_path, reviews(million if source == "csv" else 1), destination=result, extract={"batch_size": 500}
    )
    if source == "postgres":
        made.say(extract={**made.definition["extract"], "source": "${DB}?table=reviews"})
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "CREATE TABLE reviews AS SELECT 'r' || lpad(n::text, 7, '0') AS id, 'Plain review ' || n AS review, "
            f"n % 5 + 1 AS stars FROM generate_series(1, {million}) AS n; ALTER TABLE reviews ADD PRIMARY KEY (id)"
        )
        await connection.close()
    began = time.monotonic()
    out, peak = await measured(made, {**s3_environment, "DB": postgres_url})
    took = time.monotonic() - began
    assert f'"loaded": {million}' in out
    written = pq.read_metadata(pa.BufferReader(bucket_of(s3_environment).content("out.parquet")))
    print(f"embedded, {million:,} rows from {source} into Parquet on S3: {peak:.0f} MB, {took:.0f} s")
    assert written.num_rows == million
    assert peak < PARQUET_LIMIT_MB
