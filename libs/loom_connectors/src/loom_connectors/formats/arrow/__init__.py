"""Reads and writes files of typed columns by Apache Arrow: Parquet and Feather.

Each value becomes JSON exactly (`json_values.py`), and JSON becomes a typed column exactly (`typed_columns.py`), or its
row is refused."""
