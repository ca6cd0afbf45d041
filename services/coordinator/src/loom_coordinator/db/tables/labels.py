"""Defines the tables of the records that people judge, and of their verdicts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, Text

from loom_coordinator.db.tables.columns import metadata, run_key
from loom_migrations.types import Json, UtcDateTime

label_samples = Table(
    "label_samples",
    metadata,
    run_key(),
    Column("subject", String(100), primary_key=True, comment="the evaluator whose threshold is meant, or gate"),
    Column("population", BigInteger, nullable=False, comment="how many records it is drawn from"),
    Column("borderline", Integer, nullable=False, comment="how many of the nearest to the threshold are in it"),
    Column("random", Integer, nullable=False, comment="how many draws at random it has, from all records"),
    Column("drawn_at", UtcDateTime, nullable=False),
    Column("drawn_by", String(255)),
)

sampled_records = Table(
    "sampled_records",
    metadata,
    Column("run_id", String(255), primary_key=True),
    Column("subject", String(100), primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("place", Integer, nullable=False, comment="its place in the order in which records are shown, from 1"),
    Column("stratum", String(20), nullable=False, comment="borderline, random"),
    Column("nearness", Integer, comment="its place among all records by the distance from the threshold, from 1"),
    Column("draw", Integer, comment="its place among the random draws from all records, from 1"),
    Column("probability", Float, nullable=False, comment="of being in the sample, as it was drawn"),
    Column("margin", Float, nullable=False, comment="by how much its score is above the threshold"),
    Column("record_data", Json, comment="its input"),
    Column("output", Json),
    Column("gone", Text, comment="why its output is no longer to be had"),
)

labels = Table(
    "labels",
    metadata,
    run_key(),
    Column("record_id", Text, primary_key=True),
    Column("person", String(255), primary_key=True),
    Column("verdict", String(10), nullable=False, comment="pass, fail, skip"),
    Column("comment", Text),
    Column("expected", Text, comment="the value that the person says is right"),
    Column("stratum", String(20), comment="of the sample it was shown in; null where it was shown in none"),
    Column("probability", Float, comment="of being in that sample"),
    Column("via", String(20), nullable=False, comment="terminal, console, api, import"),
    Column("labelled_at", UtcDateTime, nullable=False),
)
