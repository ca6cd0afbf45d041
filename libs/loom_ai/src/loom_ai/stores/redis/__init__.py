"""Stores in Redis, which all replicas share. Losing their content costs money or time, but no record.

Only the composition of model calls imports them."""
