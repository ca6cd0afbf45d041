"""Calls model endpoints over HTTP, whichever protocol they speak, and contains the client that only counts what calls
would cost.

The composition of model calls comes in here; transforms and evaluators see `loom_ai.ports`."""
