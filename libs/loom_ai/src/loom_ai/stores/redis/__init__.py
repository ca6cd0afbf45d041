"""Stores in Redis, shared by all replicas. Losing them costs money or time, never a record.

Only the composition of model calls comes in here."""
