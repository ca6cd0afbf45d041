"""Defines quality checks of records and of runs: what a pipeline file may say of them, the rules that decide about a
record, and the verdict on a run. It does no I/O.

The definition of a pipeline and whoever checks, counts or judges come in."""
