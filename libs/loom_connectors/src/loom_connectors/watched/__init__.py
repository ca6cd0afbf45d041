"""Reads sources as streams: a queue is one, a folder is watched, and anything else is read again from its newest value.

The extractor comes in by `opening.open_stream`, and so does what looks at a source before a run."""
