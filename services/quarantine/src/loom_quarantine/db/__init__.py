"""The quarantine's tables, and what is written to them.

Only the quarantine service comes in here; people ask through `loom_quarantine.queries`."""
