"""One file per technology, each implementing a port of the same file name."""
