"""Contains what all SQL connectors share: the destination with a load ledger, the port of a system's dialect, bound
parameters, paging by key, column types, results per row.

The packages of the database systems come in here; nothing in here names a system."""
