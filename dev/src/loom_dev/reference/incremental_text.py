"""Holds the texts of docs/pipeline.md about incremental extraction, and about several runs."""

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
- **A change is no duplicate.** Of a row, which its key names, a run takes a version that is newer than what earlier
  runs have read. Where files, objects or given records hold several versions of it, in one file or in several, the run
  takes the newest and leaves out the older ones; it reads the keys of the source once more for this. Two with the same
  value are duplicates: the second one is quarantined. Databases and APIs are expected to hold a row once, so there
  the second row of a key that a run takes is quarantined as `duplicate_key`. To keep all versions, make the column part
  of the key: `key: [id, updated_at]`.
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
- **What is asked of the source.** Databases are asked only for the rows that are not below the mark less `lag`, or
  `start` in the first run, and for those without a value: `WHERE (updated_at >= ... OR updated_at IS NULL)` around the
  table or the query, with a bound value of the column's type, so that an index of the column is usable. This is done
  for columns of numbers, days and times. Times without a zone need `zone`. SQLite keeps times as texts: it is asked for
  texts from the day before the mark on, and for those that begin with no digit. Columns of text in other databases, and
  files, are read whole, and older records are left out as they are read. REST APIs are asked by
  [`start_param`](connectors.md#rest-apis). `loom validate` says which it is. A row that the database leaves out is not
  looked at: no check counts it, and it makes no other row's key a duplicate.
- The load must add: `mode: append` or `upsert`. `extract.key` is required, because a record must be known again.
"""

SEVERAL_RUNS = """
## Pipelines that depend on each other

`depends_on` names pipelines of the project that run before this one, e.g. because this one reads what they write:

```yaml
name: monthly_scores
depends_on: [reviews, ratings]
```

- `loom run reviews --downstream` runs `reviews`, and after it every pipeline that depends on it, directly or through
  others, one after the other. Each runs after all that it depends on. Pipelines above `reviews`, and those that
  depend only on others, do not run.
- A pipeline runs if all that it depends on among these have succeeded (exit code 0). After one that failed, is partial,
  cancelled or paused, went beyond a limit of `fail_on`, or could not begin, those below it do not run, which is said;
  the others do. At the end a table shows each pipeline with its run; `--format json` prints `{"runs": [...]}` with
  the report of each. The exit code is 0 where all have succeeded, else that of the first that has not.
- The options of `loom run` count for each run. `--param` sets a parameter of the first pipeline, and of each below that
  has one of this name.
- `loom run` alone, and a run that is requested by a message, do not look at `depends_on`.
- `loom validate` tells names of no pipeline of the project, and circles, with file and line. With `--downstream`
  mistakes in the files of all pipelines that are to run are told before the first one begins.
- `loom lineage NAME --upstream --downstream` lists the pipelines before and after one: by `depends_on`, and where
  the source of one is exactly the destination of another: the same file, object, API or table. A pattern, a folder or a
  query is not followed.

## Backfills

A pipeline with a parameter, e.g. `day`, is run for a range of its values, one run for each:

```yaml
params: {day: {type: date}}
extract:
  source: postgres://${DB_USER}:${DB_PASSWORD}@db/shop
  query: SELECT * FROM orders WHERE day = {{ day }}
  key: id
```

```
loom backfill orders.yaml --param day --from 2024-01-01 --to 2024-01-31
```

- `--every hour|day|week|month` says how far apart the values are; `--to` is included. The parameter is of type `date`,
  `datetime` or `string`. Hours need one of the last two, and end with the last hour of a day that `--to` names. Months
  begin at the day of `--from`, or the last day of a shorter month. `--param limit=10` sets another parameter of all
  runs.
- The runs follow one another. One that fails does not stop the others. A table shows each partition with its run, and
  `--format json` prints `{"pipeline": ..., "partitions": [...]}`. The exit code is 0 where every partition has
  succeeded, else 1.
- **Going on.** The same command again leaves out partitions of which a run with the same parameters has succeeded,
  whichever command began it; `--again` runs them, too. A run that was paused or interrupted is resumed, before new ones
  begin. A run goes on in a cluster though the command that began it has ended: the next call waits for its end, or
  resumes it with what `--budget` leaves it. A request that such a command has left in the queue starts no second run.
  Of partitions that failed, were cancelled or are partial, a new run is begun, which loads again what the one before
  has loaded; `mode: upsert` makes that harmless. `--dry-run` says what would run.
- **Budget.** `--budget` is what the runs of this call may cost together. Each run may cost what is left of it, and no
  more than the `cost_budget` of the pipeline. A run that would pass it pauses, and the partitions after it do not run.
  They do not run either where a run is paused by someone, and where no coordinator answers.
- Each run adds to the destination, so `mode: replace`, which is the default for files, is refused; so is a pipeline
  with `extract.incremental`, which takes nothing below its mark, and one whose source and prompt do not look at the
  parameter: each run would move the same records.
"""
