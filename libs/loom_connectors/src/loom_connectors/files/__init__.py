"""Implements files as a `Source` and a `Destination`: the ports of storages and formats, and what is the same for all
of them.

The registry opens them with a storage of `storage` and a format of `formats`; neither knows the other."""
