"""Where journals lie: one file per technology, each a `Journal`."""
