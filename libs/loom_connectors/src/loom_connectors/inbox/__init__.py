"""Implements the inbox of a pipeline as a source: records that were given to it over HTTP.

The registry comes in here by the scheme `api://`."""
