"""Keeps what a worker keeps between messages: plans and open connections.

Handlers use it; nothing in it depends on the content of a plan or the kind of a connection."""
