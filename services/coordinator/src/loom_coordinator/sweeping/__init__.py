"""Finds what the coordinator looks at of its own accord: stuck batches, work that the broker lost, payloads nobody
needs.

The service starts the sweeper; nobody else comes in here."""
