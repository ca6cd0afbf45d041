"""Holds rules about fields whose plain values must be kept, and those that may not be."""
