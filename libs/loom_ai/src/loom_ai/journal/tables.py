"""Defines the tables of the journal, of the marks, budgets and limits beside it, as the migrations create them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("record_id", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON: text, finish_reason, model
    sa.Column("tokens_in", sa.Integer, nullable=False),
    sa.Column("tokens_cached", sa.Integer, nullable=False),
    sa.Column("tokens_out", sa.Integer, nullable=False),
    sa.Column("cost", sa.Float, nullable=False),  # USD
    sa.Column("latency_seconds", sa.Float, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Index("idx_journal_record", "run_id", "record_id"),
)

batch_marks = sa.Table(
    "batch_marks",
    metadata,
    sa.Column("batch", sa.String(100), primary_key=True),  # stage:batch id
    sa.Column("mark", sa.Text, nullable=False),  # JSON: loom_common.domain.marks
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),  # UTC
)

run_budgets = sa.Table(
    "run_budgets",
    metadata,
    sa.Column("run_id", sa.String(255), primary_key=True),
    sa.Column("spent", sa.Float, nullable=False),  # USD
    sa.Column("lost", sa.Float, nullable=False),  # USD
    sa.Column("judged", sa.Integer, nullable=False, server_default="0"),  # records
    sa.Column("judging", sa.Float, nullable=False, server_default="0"),  # USD that judging them has cost
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),  # UTC
)

model_buckets = sa.Table(
    "model_buckets",
    metadata,
    sa.Column("bucket", sa.String(64), primary_key=True),  # SHA-256 of endpoint, model and key reference
    sa.Column("requests_until", sa.Double, nullable=False),  # seconds since 1970
    sa.Column("tokens_until", sa.Double, nullable=False),
    sa.Column("paused_until", sa.Double, nullable=False),
)

seen_values = sa.Table(
    "seen_values",
    metadata,
    sa.Column("scope", sa.String(255), primary_key=True),  # the run that first read the record
    sa.Column("check_name", sa.String(150), primary_key=True),
    sa.Column("digest", sa.String(32), primary_key=True),
    sa.Column("record_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, index=True),  # UTC
)

group_members = sa.Table(
    "group_members",
    metadata,
    sa.Column("run_id", sa.String(255), primary_key=True),
    sa.Column("step", sa.String(60), primary_key=True),  # the one that groups
    sa.Column("place", sa.String(24), primary_key=True),  # digits: partition, slice, batch, and number in the batch
    sa.Column("group_hash", sa.String(32), nullable=False),  # of the values that make the group
    sa.Column("record_id", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),  # JSON: the values that make the group, and the fields that it needs
    sa.Index("ix_group_members_group", "run_id", "step", "group_hash", "place"),
)

received_pages = sa.Table(
    "received_pages",
    metadata,
    sa.Column("run_id", sa.String(255), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("bodies", sa.LargeBinary, nullable=False),  # each after its length in four bytes
    sa.Column("state", sa.Text, nullable=False),  # JSON: what the source needs to go on
    sa.Column("ends", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Column("known", sa.Integer, nullable=False, server_default="0"),  # messages that were left out
)

received_messages = sa.Table(
    "received_messages",
    metadata,
    sa.Column("source", sa.String(32), primary_key=True),  # a hash of where it was taken from
    sa.Column("identity", sa.String(32), primary_key=True),  # a hash of what tells it from others
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, index=True),  # UTC
    sa.Column("again", sa.BigInteger, nullable=False, server_default="0"),  # the last time it was to be taken again
)

inbox_records = sa.Table(
    "inbox_records",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("inbox", sa.String(400), nullable=False),  # pipeline/name
    sa.Column("record_id", sa.String(36), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Index("idx_inbox_records_inbox", "inbox", "number"),
    sa.Index("idx_inbox_records_record", "inbox", "record_id", unique=True),
)

inbox_keys = sa.Table(
    "inbox_keys",
    metadata,
    sa.Column("inbox", sa.String(400), primary_key=True),
    sa.Column("digest", sa.String(32), primary_key=True),  # of the key of a record
    sa.Column("record_id", sa.String(36), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),  # UTC
)

model_claims = sa.Table(
    "model_claims",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # of a question, as in the journal
    sa.Column("holder", sa.String(64), nullable=False),  # SHA-256 of run and record
    sa.Column("until", sa.DateTime(timezone=True), nullable=False),  # UTC
)

budget_reservations = sa.Table(
    "budget_reservations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("run_id", sa.String(255), nullable=False, index=True),
    sa.Column("holder", sa.String(32), nullable=False, index=True),
    sa.Column("worst", sa.Float, nullable=False),  # USD
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),  # UTC
)

batch_requests = sa.Table(
    "batch_requests",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # of a question, as in the journal
    sa.Column("run_id", sa.String(255), nullable=False, index=True),
    sa.Column("record_id", sa.Text, nullable=False),
    sa.Column("place", sa.String(64), nullable=False),  # which requests may share a batch
    sa.Column("state", sa.String(20), nullable=False),  # loom_ai.batches.requests.values.RequestState
    sa.Column("batch_id", sa.String(32), index=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),  # bytes
    sa.Column("body", sa.Text, nullable=False),  # JSON: the call, its price, what is reserved for it
    sa.Column("problem", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Index("idx_batch_requests_place", "place", "state"),
)

provider_batches = sa.Table(
    "provider_batches",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("run_id", sa.String(255), nullable=False, index=True),
    sa.Column("place", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(20), nullable=False),  # loom_ai.batches.requests.values.BatchState
    sa.Column("body", sa.Text, nullable=False),  # JSON: one of its calls, without its words
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("reads", sa.Integer, nullable=False),
    sa.Column("provider_id", sa.Text),
    sa.Column("problem", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Column("attempted_at", sa.DateTime(timezone=True)),  # UTC
)

batch_owners = sa.Table(
    "batch_owners",
    metadata,
    sa.Column("place", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(32), nullable=False, index=True),
    sa.Column("until", sa.DateTime(timezone=True), nullable=False),  # UTC
)

batch_runs = sa.Table(
    "batch_runs",
    metadata,
    sa.Column("run_id", sa.String(255), primary_key=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),  # UTC
)

joined_tables = sa.Table(
    "joined_tables",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),  # SHA-256 of the rows
    sa.Column("layout", sa.String(64), nullable=False),  # SHA-256 of what says by what rows are found
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.Index("ix_joined_tables_version", "version", "layout"),
)

joined_runs = sa.Table(
    "joined_runs",
    metadata,
    sa.Column("scope", sa.String(255), primary_key=True),  # the run that first read the records
    sa.Column("step", sa.String(60), primary_key=True),
    sa.Column("table_name", sa.String(32), nullable=False),
    sa.Column("used_at", sa.DateTime(timezone=True), nullable=False, index=True),  # UTC
)

joined_rows = sa.Table(
    "joined_rows",
    metadata,
    sa.Column("table_name", sa.String(32), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),  # in the order of the source, from 1
    sa.Column("key_hash", sa.String(32)),
    sa.Column("content", sa.Text, nullable=False),  # JSON: the row
    sa.Index("ix_joined_rows_key", "table_name", "key_hash", "number"),
)

joined_words = sa.Table(
    "joined_words",
    metadata,
    sa.Column("table_name", sa.String(32), primary_key=True),
    sa.Column("word", sa.String(40), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),  # how many words the row has
)

joined_counts = sa.Table(
    "joined_counts",
    metadata,
    sa.Column("table_name", sa.String(32), primary_key=True),
    sa.Column("word", sa.String(40), primary_key=True),
    sa.Column("row_count", sa.BigInteger, nullable=False),  # that have the word
)
