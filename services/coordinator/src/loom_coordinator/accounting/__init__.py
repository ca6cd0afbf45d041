"""Keeps up what a run came to: its counts, scores, lineage, calls and cost.

Facts are booked here and reports are read from here."""
