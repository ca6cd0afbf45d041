"""Holds the text of docs/pipeline.md about incremental extraction."""

INCREMENTAL = """
## Incremental extraction

`extract.incremental` names a column that grows. A run takes the records whose value is above the *mark*, the newest
value that earlier runs have read. The mark belongs to the pipeline and its source (address, query and column), and is
in the table `incremental_marks` of the state database.

```yaml
name: orders
extract:
  source: postgres://${DB_USER}:${DB_PASSWORD}@db/shop?table=orders
  key: id
  incremental: {column: updated_at, start: 2024-01-01, lag: 2h, zone: Europe/Berlin}
transform: {type: passthrough}
load:
  destination: postgres://${DB_USER}:${DB_PASSWORD}@db/analytics?table=orders
  mode: upsert
```

- **Ties and late records.** A run looks again at the records from `lag` below the mark up to the mark, and takes
  those that no run has read with this value: none is lost and none is taken twice. Without a `lag` these are those
  whose value is the mark itself. What becomes of a record found below the mark, `on_late` says. A record further below
  is not seen. The keys of the records within the lag are kept with the mark, so a long lag over many records makes it
  large.
- **When the mark moves.** In the transaction that ends the run, after all of the source was read and the load was
  finalized: where it `succeeded`, and where it is `partial` because it missed its `batch_threshold`. A run that failed,
  was cancelled, or ended early by a limit moves nothing. Finish it with `loom resume`, which begins at the same mark; a
  new run takes its records again, so use `mode: upsert` where that may happen. Once another run has moved the mark, the
  older run can no longer be resumed. Records that were rejected or quarantined have been read: `loom quarantine retry`
  loads them.
- Two runs of a pipeline that read the same source incrementally do not run at the same time: the second is refused.
- **Values** are numbers, or dates and times in ISO 8601, also as text. A record without a value, or with a time that
  names no zone where `zone` is not set, is quarantined with the code `incremental`.
- `loom run --full-refresh` reads all of the source, and puts the mark where it ends. `loom state show`, `set` and
  `reset` show it, set it and forget it. A trial (`--sample`) and a replay neither use nor move it.
- The source is read as a whole, and its older records are left out as they are read. To read less of a database, say in
  `extract.query` what it need not give, e.g. by a parameter.
- The load must add: `mode: append` or `upsert`. `extract.key` is required, because a record must be known again.
"""
