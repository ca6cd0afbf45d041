"""Reads the pages of a REST API."""
