"""Keeps what waits for batches of providers in tables: the store, and how its rows are written and read.

The composition comes in by `store.py`."""
