"""Contains what all clients of HTTP servers have in common: response bodies with a size limit, retries, and why no
connection came about.

The clients of model providers and of REST APIs import it; nothing in here knows either."""
