"""Run state as tables and rows, and transactions whose messages leave with them through the outbox.

Every other package of the coordinator comes in here; it imports none of them."""
