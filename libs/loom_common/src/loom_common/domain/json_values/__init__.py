"""Reads and writes JSON values without loss, converts them from Python, and limits the time of patterns and schemas.

Whatever reads, checks or writes records imports it. It imports nothing of Loom but the error types."""
