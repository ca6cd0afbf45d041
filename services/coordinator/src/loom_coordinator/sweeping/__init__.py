"""Finds what the coordinator looks at of its own accord: stuck batches, work that the broker lost, payloads
and received messages that nobody needs.

The service starts the sweeper; nobody else comes in here."""
