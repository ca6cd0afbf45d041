"""Stores that last as long as their process: for tests, and for runs that want nothing kept.

Only the composition of model calls, and tests, come in here."""
