"""Connects to SQLite files: statements in few visits to a thread, short writes in none, and the write-ahead log."""
