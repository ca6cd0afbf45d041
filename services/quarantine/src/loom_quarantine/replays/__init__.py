"""Replays of quarantined records: they are claimed, checked, read like a source, and resolved when the replay ends.

Only the quarantine service imports it."""
