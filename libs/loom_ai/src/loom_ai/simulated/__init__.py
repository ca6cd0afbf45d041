"""A server that answers like a model provider and holds no model: for tests, and for trying pipelines without a key."""
