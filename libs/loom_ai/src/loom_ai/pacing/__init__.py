"""Decides how fast models are asked: limits that all workers share, and as many calls at once as an endpoint takes
well."""
