"""Contains the quarantine's tables and the statements that write to them.

Only the quarantine service imports it; others read through `loom_quarantine.queries`."""
