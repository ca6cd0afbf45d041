"""Sends records to a REST API."""
