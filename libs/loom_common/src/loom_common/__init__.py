"""Contains what all Loom services share, and what belongs to no single service."""
