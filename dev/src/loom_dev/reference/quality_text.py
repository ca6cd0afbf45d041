"""Holds the text of docs/pipeline.md about quality checks."""

QUALITY = """
## Quality checks

`extract.quality_checks` look at the records as they are read, before a model is asked; `load.quality_checks` look at
the rows that passed the gate, as they would be loaded: key, included fields and output.

```yaml
extract:
  source: data/users.csv
  key: id
  quality_checks:
    - {column: email, check: regex, pattern: '.+@.+\\..+', action: dlq}
    - {column: email, check: unique}
    - {column: age, check: range, min_value: 18, max_value: 100, action: warn, max_share: 0.05}
    - {column: country, check: reference, source: data/countries.csv, field: code}
    - {check: custom, function: "checks:plausible"}
    - {check: row_count, min: 1000}
load:
  destination: results/users.csv
  quality_checks:
    - {column: score, check: not_null, action: fail}
```

- A field that is missing, null or an empty text has no value. Only `not_null` misses for it; `regex`, `enum` and
  `length` look at an empty text as at any other, and `custom` is given whatever there is.
- **`quarantine`** (or `dlq`): the record is kept back with the code `quality_check`. Its reason names the field and the
  check, its details also the value (at most 100 characters). It counts as a failed record of its stage
  (`max_failures`, `max_failure_rate`), whatever `on_failure` says.
  [`loom quarantine retry`](quarantine.md#run-records-again) runs the same checks again.
- **`fail`** without a share: the first record that misses the check fails the run. At `extract`, no record of its slice
  goes on, so none of them costs anything. With a share, the run is judged once all records have been seen: after the
  last slice is read, or, at `load`, before the result is put in place. A run that fails replaces nothing; rows that it
  has added stay.
- **`warn`** counts the record and lets it through.
- `unique` holds over the whole run, whatever the number of slices, partitions and replicas, and whatever is delivered
  twice or resumed. Of records with one value, the first to pass the other checks has it; which of two that are read at
  the same time is first is not defined, but does not change any more. The values' hashes are in the table
  `seen_values` for 30 days. A replay compares with the values of the run that kept its records back; a value that
  `--edit` has replaced stays taken.
- `reference` compares values as text, so that `1` in a CSV file is `1` in a database. Each process reads the other
  source once in a run, and keeps its values on disk.
- `custom` calls your function in a thread, with the limits of all user code: `timeouts.record`, and isolation of a
  record that kills its worker. A record for which it raises an error misses the check. It must give the same answer
  when it is asked again.
- `ontology` holds a rule of the pipeline's `ontology` against the fields that stand for its concepts, and says nothing
  of records that lack one ([ontologies.md](ontologies.md)).

The report lists how many records each check has seen and how many miss it; so do the field `checks` of
`--format json`, the table `quality_results`, and the metric `loom_quality_missed_records`. Checks of records have these
keys:
"""

OF_A_RUN = """
Checks of a whole run (`row_count`, `freshness`) have these:
"""
