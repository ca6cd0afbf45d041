"""Makes the output of each record from its input."""
