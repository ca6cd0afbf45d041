"""JSON values: exact numbers, plain values, and patterns and schemas that are checked under a limit of time.

Whoever reads, checks or writes records comes in here; it imports nothing of Loom but error types."""
