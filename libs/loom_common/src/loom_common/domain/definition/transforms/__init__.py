"""Defines the `transform` section of a pipeline file: `transform.py` has the keys that every transform has, a file each
type's own keys, and `kinds.py` says which types there are and reads a transform by its type.

The sections around it, the checks and the services import it; it imports `failures` and what lies below."""
