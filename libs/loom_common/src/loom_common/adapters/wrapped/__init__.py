"""Contains buses that wrap another bus and change what passes through.

Other adapters derive from these."""
