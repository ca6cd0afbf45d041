"""Queries the versions of what pipelines are made of."""
