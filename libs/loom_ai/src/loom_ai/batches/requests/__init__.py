"""Defines requests, batches and results, writes calls as JSON, and sends what concerns batches over HTTP.

The protocols and everything that looks after batches come in here."""
