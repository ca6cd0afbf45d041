"""Defines what the tables share: `metadata`, and columns that several of them have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Numeric, String

metadata = MetaData()

Usd = Numeric(14, 8, asdecimal=False)
"""An amount in USD, read as a float."""


def row_id() -> Column[int]:
    """Return the primary key of a table whose rows the database numbers."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def run_key() -> Column[str]:
    """Return the column of the run that a row belongs to, as the first or only part of the primary key."""
    return Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True)
