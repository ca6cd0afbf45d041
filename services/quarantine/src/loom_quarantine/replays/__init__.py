"""Replays: quarantined records are claimed, checked, read like a source, and resolved when the replay ends.

Only the quarantine service comes in here."""
