"""Asks one API over HTTP: options, credentials, pauses, further tries, and what its answers mean."""
