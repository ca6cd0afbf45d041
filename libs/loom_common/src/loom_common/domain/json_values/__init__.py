"""JSON values: lossless reading and writing, conversion from Python, and time-limited patterns and schemas.

Whatever reads, checks or writes records imports it. It imports nothing of Loom but the error types."""
