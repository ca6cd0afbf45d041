"""Reads and writes what the bytes of a file say: each format implements the port of `files/format.py`, and knows no
storage.

The registry comes in here by the ending of a file's name, or by the option `format`."""
