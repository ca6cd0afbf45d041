"""Contains tools for developers of Loom: private backends, the local cluster, generated references, structure
checks."""
