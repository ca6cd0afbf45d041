"""Takes records from Python, as lists, iterators, Arrow tables and data frames, and gives results back as such.

`loom.api` comes in here. pandas, polars and pyarrow are imported only where somebody has given, or asks for, their
objects."""
