"""Buses around another bus, which change what passes through.

Adapters derive from these; nobody else needs them."""
