"""Implements Redis streams: a stream as a source, read by a consumer group that takes each entry once.

The registry comes in here by the schemes `redis://` and `rediss://`."""
