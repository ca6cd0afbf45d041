"""Decides how much may be on its way: credit, windows and prefetch limits, from what the replicas say of themselves.

The service's loops come in here; slices are granted by its rules."""
