"""Defines the schema of records: what it says of a column, how it is inferred, how two schemas differ, and what a
contract makes of a record that does not fit. It does no I/O.

The definition of a pipeline, the stages, the coordinator and the command line come in."""
