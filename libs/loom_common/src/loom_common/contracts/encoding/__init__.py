"""Encodes messages as bytes and decodes them.

The worker, and code that publishes without a worker, import it; the messages do not depend on it."""
