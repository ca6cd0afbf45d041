"""What all SQL connectors share: bound parameters, paging by key, column types, results per row.

The packages of the database systems come in here; nothing in here names a system."""
