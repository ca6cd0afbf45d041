"""Implements the commands of who may ask over HTTP, and of who did what."""
