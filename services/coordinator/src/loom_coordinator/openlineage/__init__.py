"""Tells a lineage collector, or a file, about runs: events of the OpenLineage standard, where they are configured."""
