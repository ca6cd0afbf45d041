"""Leads a run from its first slice to its end: slices, progress, limits, pauses, completion and the report.

Intake and sweeping come in here; the rows lie in `db`."""
