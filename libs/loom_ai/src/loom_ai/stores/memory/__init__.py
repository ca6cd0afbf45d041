"""Stores in memory, for tests and for runs that keep nothing after they end.

Only the composition of model calls, and tests, import them."""
