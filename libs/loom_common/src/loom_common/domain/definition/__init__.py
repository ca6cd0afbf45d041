"""Defines the contents of a pipeline file as types, and the reader that reports all of its mistakes at once.

Every package above may import it; it imports only the domain's values."""
