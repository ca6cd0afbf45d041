"""Pure: records, pipelines, gates, recovery, cost. No I/O."""
