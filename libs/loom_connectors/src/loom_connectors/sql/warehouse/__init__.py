"""Contains what warehouses share. A warehouse blocks in a thread, takes the rows of a statement as one JSON list, casts
their texts into the columns' types, and checks no key.

The packages of such systems come in here; nothing in here names a system."""
