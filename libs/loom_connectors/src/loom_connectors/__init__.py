"""Contains sources and destinations: one file per system, its `Source` and its `Destination` together."""
