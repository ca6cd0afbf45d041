"""Defines the messages that services exchange. They are immutable and versioned."""
