"""A record that raises, kills its process as a library in C may, or hangs, in functions of a pipeline's own code."""

from __future__ import annotations

POISON = "r000017"
"""The id of the record."""
CODE = f"""
import ctypes
import time

def raises(record):
    if record["id"] == "{POISON}":
        raise ValueError("cannot be judged")
    return {{"mood": "good"}}

def kills(record):
    if record["id"] == "{POISON}":
        ctypes.CDLL(None)._exit(70)
    return {{"mood": "good"}}

def hangs(record):
    if record["id"] == "{POISON}":
        time.sleep(3600)
    return {{"mood": "good"}}
"""
